/* SPDX-License-Identifier: GPL-3.0-or-later */
/* wire_service.h: the library's calls that are no messages: WIRE_SYNC and what follows it. Their
 * replies begin as all do, and bring a body of their own. Pure. */
#ifndef WIRE_SERVICE_H
#define WIRE_SERVICE_H

#include "stoa.h"
#include "wire/wire_message.h"

/* A request's payload: a list of one number. Without one: 0. */
void wire_service_write_number(struct wire_writer *writer, uint64_t number);
int wire_service_read_number(struct bytes payload, uint64_t *out, struct error_detail *detail);

/* A reply: begin, its body, end. DETAIL may be NULL. */
struct wire_mark wire_service_begin(struct wire_writer *writer, const struct stoa_detail *detail);
void wire_service_end(struct wire_writer *writer, struct wire_mark mark);

/* Read what every reply has into OUT_DETAIL, whose code is RESULT; OUT_BODY is what follows. */
int wire_service_read(struct bytes payload, int result, struct stoa_detail *out_detail,
                      struct bytes *out_body, struct error_detail *detail);

/* Bodies. Those that are read from their front; what they make is freed with stoa_free. */
void wire_service_write_text(struct wire_writer *writer, const char *text, size_t size);
int wire_service_read_text(struct bytes *body, char **out_text, size_t *out_size,
                           struct error_detail *detail);

void wire_service_write_metric(struct wire_writer *writer, const struct stoa_metric *metric);
/* Its texts: TEXTS has room for the item's bytes and four more. */
int wire_service_read_metric(struct bytes *body, char *texts, struct stoa_metric *out,
                             struct error_detail *detail);

void wire_service_write_letter(struct wire_writer *writer, const struct stoa_dead_letter *letter);
int wire_service_read_letter(struct bytes *body, struct stoa_dead_letter *out,
                             struct error_detail *detail);

void wire_service_write_counts(struct wire_writer *writer,
                               const struct stoa_dead_letter_counts *counts);
int wire_service_read_counts(struct bytes *body, struct stoa_dead_letter_counts *out,
                             struct error_detail *detail);

void wire_service_write_changes(struct wire_writer *writer,
                                const struct stoa_block_changes *changes);
int wire_service_read_changes(struct bytes *body, struct stoa_block_changes **out,
                              struct error_detail *detail);

#endif
