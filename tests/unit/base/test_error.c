/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"

static const int codes[] = {
#define STOA_ERROR(number, name, help) STOA_##name,
#include "stoa/error.def"
#undef STOA_ERROR
};

enum { CODE_COUNT = sizeof(codes) / sizeof(codes[0]) };

static void every_code_is_negative_and_used_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < CODE_COUNT; i++) {
        assert_true(codes[i] < 0);
        for (size_t j = 0; j < i; j++) {
            assert_int_not_equal(codes[i], codes[j]);
        }
    }
}

static void every_code_has_its_own_name_and_text(void **state)
{
    (void)state;
    for (size_t i = 0; i < CODE_COUNT; i++) {
        assert_memory_equal(stoa_error_name(codes[i]), "STOA_E", 6);
        assert_true(strlen(stoa_strerror(codes[i])) > 0);
        assert_string_not_equal(stoa_strerror(codes[i]), stoa_strerror(1));
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(stoa_error_name(codes[i]), stoa_error_name(codes[j]));
            assert_string_not_equal(stoa_strerror(codes[i]), stoa_strerror(codes[j]));
        }
    }
    assert_string_equal(stoa_error_name(STOA_ECORRUPT), "STOA_ECORRUPT");
    assert_string_equal(stoa_error_name(0), "STOA_OK");
}

static void numbers_that_are_no_code_are_unknown(void **state)
{
    (void)state;
    const int strangers[] = {1, -99, -1000, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < sizeof(strangers) / sizeof(strangers[0]); i++) {
        assert_string_equal(stoa_error_name(strangers[i]), "STOA_UNKNOWN");
        assert_string_equal(stoa_strerror(strangers[i]), "unknown error");
    }
}

static void set_fills_the_detail_and_returns_the_code(void **state)
{
    (void)state;
    struct error_detail detail = {.os_error = 7};
    assert_int_equal(error_set(&detail, STOA_EREFUSED, "block %d: bad", 42), STOA_EREFUSED);
    assert_int_equal(detail.code, STOA_EREFUSED);
    assert_int_equal(detail.os_error, 0);
    assert_string_equal(detail.text, "block 42: bad");
    assert_int_equal(error_set(NULL, STOA_EIO, "%s", "unheard"), STOA_EIO);
}

static void set_errno_keeps_the_number_and_appends_the_systems_text(void **state)
{
    (void)state;
    struct error_detail detail;
    assert_int_equal(error_set_errno(&detail, ENOSPC, "write %s", "index"), STOA_ENOSPACE);
    assert_int_equal(detail.code, STOA_ENOSPACE);
    assert_int_equal(detail.os_error, ENOSPC);
    assert_string_equal(detail.text, "write index: No space left on device");
    assert_int_equal(error_set_errno(NULL, ENOSPC, "write"), STOA_ENOSPACE);
}

static void prefixes_read_from_the_outside_in(void **state)
{
    (void)state;
    struct error_detail detail;
    error_set(&detail, STOA_EIO, "read failed");
    assert_int_equal(error_prefix(&detail, "frame %u", 7U), STOA_EIO);
    assert_int_equal(error_prefix(&detail, "segment 3"), STOA_EIO);
    assert_string_equal(detail.text, "segment 3: frame 7: read failed");
    assert_int_equal(error_prefix(NULL, "nothing"), 0);
}

static void long_texts_are_cut_and_terminated(void **state)
{
    (void)state;
    char text[2 * ERROR_TEXT_SIZE];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    struct error_detail detail;
    error_set(&detail, STOA_EIO, "%s", text);
    assert_int_equal(strlen(detail.text), ERROR_TEXT_SIZE - 1);
    error_set_errno(&detail, ENOENT, "%s", text);
    assert_int_equal(strlen(detail.text), ERROR_TEXT_SIZE - 1);
    error_prefix(&detail, "%s", text);
    assert_int_equal(strlen(detail.text), ERROR_TEXT_SIZE - 1);
    error_set(&detail, STOA_EIO, "short");
    error_prefix(&detail, "%s", text);
    assert_int_equal(strlen(detail.text), ERROR_TEXT_SIZE - 1);
    assert_null(strstr(detail.text, "short"));
}

static void a_text_that_just_fits_is_kept_whole(void **state)
{
    (void)state;
    char text[ERROR_TEXT_SIZE];
    memset(text, 'y', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    struct error_detail detail;
    error_set(&detail, STOA_EIO, "%s", text + 5);
    error_prefix(&detail, "abc");
    assert_int_equal(strlen(detail.text), ERROR_TEXT_SIZE - 1);
    assert_memory_equal(detail.text, "abc: yyy", 8);
}

static void errno_values_map_to_what_a_caller_can_act_on(void **state)
{
    (void)state;
    const struct {
        int os_error;
        int code;
    } rows[] = {
        {ENOMEM, STOA_ENOMEM},
        {ENOENT, STOA_ENOTFOUND},
        {ENOTDIR, STOA_ENOTFOUND},
        {EEXIST, STOA_EEXISTS},
        {EAGAIN, STOA_EBUSY},
        {ENOSPC, STOA_ENOSPACE},
        {EDQUOT, STOA_ENOSPACE},
        {EROFS, STOA_EREADONLY},
        {EACCES, STOA_EPERM},
        {EPERM, STOA_EPERM},
        {EINVAL, STOA_EINVAL},
        {ENOSYS, STOA_ENOTSUP},
        {ETIMEDOUT, STOA_ETIMEOUT},
        {ECANCELED, STOA_ECANCELED},
        {EIO, STOA_EIO},
        {EBADMSG, STOA_EIO},
        {0, STOA_EIO},
        {-1, STOA_EIO},
        {EOPNOTSUPP, STOA_ENOTSUP},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(error_from_errno(rows[i].os_error), rows[i].code);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_is_negative_and_used_once),
        cmocka_unit_test(every_code_has_its_own_name_and_text),
        cmocka_unit_test(numbers_that_are_no_code_are_unknown),
        cmocka_unit_test(set_fills_the_detail_and_returns_the_code),
        cmocka_unit_test(set_errno_keeps_the_number_and_appends_the_systems_text),
        cmocka_unit_test(prefixes_read_from_the_outside_in),
        cmocka_unit_test(long_texts_are_cut_and_terminated),
        cmocka_unit_test(a_text_that_just_fits_is_kept_whole),
        cmocka_unit_test(errno_values_map_to_what_a_caller_can_act_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
