/* SPDX-License-Identifier: GPL-3.0-or-later */
/* command_proof.c: an account and slots with what proves them, in JSON as eth_getProof answers. */
#include <string.h>

#include "base/memory.h"
#include "render/json_writer.h"
#include "stoa/command.h"
#include "stoa/console.h"
#include "stoa/sheet.h"

enum { ADDRESS_SIZE = 20, WORD_SIZE = 32 };

static void write_nodes(struct json_writer *json, const char *key, const struct stoa_bytes *nodes,
                        size_t count)
{
    json_writer_array_begin(json, key);
    for (size_t i = 0; i < count; i++) {
        json_writer_hex(json, NULL, nodes[i].data, nodes[i].size);
    }
    json_writer_array_end(json);
}

static bool print_json(const struct stoa_proof *proof)
{
    struct json_writer json;
    struct buffer buffer;
    buffer_init(&buffer);
    json_writer_init(&json, &buffer);
    json_writer_object_begin(&json, NULL);
    json_writer_hex(&json, "address", proof->address, ADDRESS_SIZE);
    write_nodes(&json, "accountProof", proof->nodes, proof->node_count);
    json_writer_quantity256(&json, "balance", proof->balance);
    json_writer_hex(&json, "codeHash", proof->code_hash, WORD_SIZE);
    json_writer_quantity(&json, "nonce", proof->nonce);
    json_writer_hex(&json, "storageHash", proof->storage_root, WORD_SIZE);
    json_writer_array_begin(&json, "storageProof");
    for (size_t i = 0; i < proof->slot_count; i++) {
        const struct stoa_proof_slot *slot = &proof->slots[i];
        json_writer_object_begin(&json, NULL);
        json_writer_quantity256(&json, "key", slot->key);
        json_writer_quantity256(&json, "value", slot->value);
        write_nodes(&json, "proof", slot->nodes, slot->node_count);
        json_writer_object_end(&json);
    }
    json_writer_array_end(&json);
    json_writer_object_end(&json);
    bool printed = console_write_json(&json, &buffer);
    buffer_deinit(&buffer);
    return printed;
}

static void add_nodes(struct sheet *sheet, const struct stoa_bytes *nodes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        sheet_hex(sheet, "  node", nodes[i].data, nodes[i].size);
    }
}

static bool print_sheet(const struct stoa_proof *proof)
{
    struct sheet sheet;
    sheet_init(&sheet);
    sheet_line(&sheet, "nonce", "%llu", (unsigned long long)proof->nonce);
    sheet_decimal(&sheet, "balance", proof->balance);
    sheet_hex(&sheet, "code hash", proof->code_hash, WORD_SIZE);
    sheet_hex(&sheet, "storage root", proof->storage_root, WORD_SIZE);
    add_nodes(&sheet, proof->nodes, proof->node_count);
    for (size_t i = 0; i < proof->slot_count; i++) {
        sheet_hex(&sheet, "slot", proof->slots[i].key, WORD_SIZE);
        sheet_hex(&sheet, "value", proof->slots[i].value, WORD_SIZE);
        add_nodes(&sheet, proof->slots[i].nodes, proof->slots[i].node_count);
    }
    bool printed = sheet_print(&sheet);
    sheet_deinit(&sheet);
    return printed;
}

/* What is asked for. Slots are the caller's to free. */
static bool parse(const struct options *options, struct stoa_proof_query *query,
                  uint8_t **out_slots)
{
    const char *address = options->arguments[0];
    *query = (struct stoa_proof_query){.height = options->has_at ? options->at : STOA_AT_HEAD};
    *out_slots = NULL;
    if (bytes_from_hex(address, strlen(address), query->address, ADDRESS_SIZE) != ADDRESS_SIZE) {
        console_error("%s: no address", address);
        return false;
    }
    query->slot_count = options->argument_count - 1;
    uint8_t *slots = memory_alloc_zeroed(query->slot_count + 1, WORD_SIZE);
    if (slots == NULL) {
        console_error("out of memory");
        return false;
    }
    for (size_t i = 0; i < query->slot_count; i++) {
        if (!command_state_parse_slot(options->arguments[1 + i], slots + i * WORD_SIZE)) {
            console_error("%s: no number of a slot", options->arguments[1 + i]);
            memory_free(slots);
            return false;
        }
    }
    query->slots = slots;
    *out_slots = slots;
    return true;
}

int command_proof_run(const struct options *options)
{
    struct stoa_proof_query query;
    uint8_t *slots;
    struct stoa *stoa;
    if (!parse(options, &query, &slots)) {
        return COMMAND_USAGE;
    }
    int status = command_open(options, false, &stoa);
    if (status != COMMAND_DONE) {
        memory_free(slots);
        return status;
    }
    struct stoa_proof *proof = NULL;
    struct stoa_detail detail = {.code = 0};
    int result = stoa_get_proof(stoa, &query, &proof, &detail);
    if (result != 0) {
        status = command_fail(result, &detail, options->arguments[0]);
    } else {
        bool printed = options->json ? print_json(proof) : print_sheet(proof);
        status = printed ? COMMAND_DONE : COMMAND_FAILED;
    }
    stoa_free(proof);
    memory_free(slots);
    return command_close(stoa, status);
}
