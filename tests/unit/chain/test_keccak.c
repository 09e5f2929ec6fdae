/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <nettle/sha3.h>

#include "chain/keccak_many.h"
#include "support/fixture.h"

static void assert_digest(const uint8_t digest[KECCAK_SIZE], const char *expected)
{
    char text[2 * KECCAK_SIZE + 1];
    bytes_to_hex(digest, KECCAK_SIZE, text);
    assert_string_equal(text, expected);
}

/* The same function over nettle's permutation, written as plainly as can be. */
static void reference(const uint8_t *data, size_t size, uint8_t out[KECCAK_SIZE])
{
    struct sha3_state state = {{0}};
    uint8_t block[KECCAK_RATE];
    for (bool last = false; !last;) {
        last = size < KECCAK_RATE;
        size_t part = last ? size : KECCAK_RATE;
        memset(block, 0, sizeof(block));
        if (part > 0) {
            memcpy(block, data, part);
        }
        if (last) {
            block[part] ^= 0x01;
            block[KECCAK_RATE - 1] ^= 0x80;
        }
        for (size_t i = 0; i < KECCAK_RATE / 8; i++) {
            state.a[i] ^= bytes_load_le64(block + 8 * i);
        }
        nettle_sha3_permute(&state);
        data += part;
        size -= part;
    }
    memcpy(out, state.a, KECCAK_SIZE);
}

static void known_digests_come_out(void **context)
{
    (void)context;
    uint8_t digest[KECCAK_SIZE];
    keccak_256(NULL, 0, digest);
    assert_digest(digest, "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470");
    keccak_256("abc", 3, digest);
    assert_digest(digest, "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45");
    keccak_256("\xc0", 1, digest); /* the uncles hash of a block without uncles */
    assert_digest(digest, "1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347");
}

static void every_length_agrees_with_nettle(void **context)
{
    (void)context;
    uint64_t random = fixture_seed();
    uint8_t data[3 * KECCAK_RATE + 2];
    fixture_random_fill(&random, data, sizeof(data));
    for (size_t size = 0; size <= sizeof(data); size++) {
        uint8_t expected[KECCAK_SIZE];
        uint8_t digest[KECCAK_SIZE];
        reference(data, size, expected);
        keccak_256(data, size, digest);
        assert_memory_equal(digest, expected, KECCAK_SIZE);
    }
}

static void pieces_of_any_size_give_the_same_digest(void **context)
{
    (void)context;
    uint64_t random = fixture_seed();
    for (unsigned round = 0; round < 2000; round++) {
        uint8_t data[1000];
        size_t size = fixture_random_below(&random, sizeof(data) + 1);
        fixture_random_fill(&random, data, size);
        uint8_t expected[KECCAK_SIZE];
        reference(data, size, expected);
        struct keccak state;
        keccak_init(&state);
        for (size_t done = 0; done < size;) {
            size_t piece = fixture_random_below(&random, 300);
            piece = piece < size - done ? piece : size - done;
            keccak_update(&state, data + done, piece);
            done += piece;
        }
        keccak_update(&state, NULL, 0);
        uint8_t digest[KECCAK_SIZE];
        keccak_final(&state, digest);
        assert_memory_equal(digest, expected, KECCAK_SIZE);
    }
}

static void many_at_once_give_what_each_gives_alone(void **context)
{
    (void)context;
    enum { MANY = 40, LONGEST = 6 * KECCAK_RATE };
    static const char *const names[] = {"one by one", "AVX2", "AVX-512"};
    uint64_t random = fixture_seed();
    uint8_t data[MANY][LONGEST];
    fixture_random_fill(&random, data, sizeof(data));
    for (unsigned way = KECCAK_ONE_BY_ONE; way <= KECCAK_AVX512; way++) {
        for (size_t count = 0; count <= MANY; count++) {
            struct bytes heads[MANY];
            struct bytes tails[MANY];
            uint8_t digests[MANY][KECCAK_SIZE];
            uint8_t expected[KECCAK_SIZE];
            for (size_t i = 0; i < count; i++) {
                size_t size = fixture_random_below(&random, 4) == 0
                                  ? KECCAK_RATE * fixture_random_below(&random, 6)
                                  : fixture_random_below(&random, LONGEST);
                size_t cut = fixture_random_below(&random, size + 1);
                heads[i] = bytes_of(data[i], cut);
                tails[i] = bytes_of(data[i] + cut, size - cut);
            }
            if (!keccak_256_many_by((enum keccak_way)way, heads, tails, count, digests)) {
                assert_int_not_equal(way, KECCAK_ONE_BY_ONE);
                print_message("skipped: this processor has no %s\n", names[way]);
                break;
            }
            for (size_t i = 0; i < count; i++) {
                reference(data[i], heads[i].size + tails[i].size, expected);
                assert_memory_equal(digests[i], expected, KECCAK_SIZE);
            }
        }
    }
}

static void a_flipped_bit_changes_the_digest(void **context)
{
    (void)context;
    uint8_t data[KECCAK_RATE + 5] = {0};
    uint8_t before[KECCAK_SIZE];
    keccak_256(data, sizeof(data), before);
    for (size_t bit = 0; bit < 8 * sizeof(data); bit++) {
        uint8_t after[KECCAK_SIZE];
        data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        keccak_256(data, sizeof(data), after);
        data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_memory_not_equal(after, before, KECCAK_SIZE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_digests_come_out),
        cmocka_unit_test(every_length_agrees_with_nettle),
        cmocka_unit_test(pieces_of_any_size_give_the_same_digest),
        cmocka_unit_test(many_at_once_give_what_each_gives_alone),
        cmocka_unit_test(a_flipped_bit_changes_the_digest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
