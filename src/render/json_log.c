/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "render/json_log.h"

enum { ADDRESS_SIZE = 20, HASH_SIZE = 32 };

void json_log_append(struct json_writer *writer, const char *key, const struct json_log *log)
{
    json_writer_object_begin(writer, key);
    json_writer_hex(writer, "address", log->address, ADDRESS_SIZE);
    json_writer_array_begin(writer, "topics");
    for (unsigned i = 0; i < log->topic_count; i++) {
        json_writer_hex(writer, NULL, log->topics[i], HASH_SIZE);
    }
    json_writer_array_end(writer);
    json_writer_hex(writer, "data", log->data.data, log->data.size);
    json_writer_quantity(writer, "blockNumber", log->height);
    json_writer_hex(writer, "blockHash", log->block_hash, HASH_SIZE);
    json_writer_quantity(writer, "blockTimestamp", log->timestamp);
    json_writer_hex(writer, "transactionHash", log->transaction_hash, HASH_SIZE);
    json_writer_quantity(writer, "transactionIndex", log->transaction_index);
    json_writer_quantity(writer, "logIndex", log->log_index);
    json_writer_bool(writer, "removed", log->removed);
    json_writer_object_end(writer);
}
