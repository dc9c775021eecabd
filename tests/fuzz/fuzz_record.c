/* tests/fuzz/fuzz_record.c - any file is cut into records and fields by import: the same records at
 * once and byte by byte, and what is made of them is what its readers take back. */
#include "main/transfer/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void
one_json(const char *record, size_t bytes, struct lki_text *out)
{
    struct lki_member m;
    struct lki_guess guess;
    size_t at = 0, from;
    enum lki_json kind = lki_json_skip(record, bytes, &at, &from);
    lki_guess_init(&guess);
    if (kind != JSON_BAD) {
        LK_ASSERT(from <= at && at <= bytes);
        lki_guess_json(&guess, kind, record + from, at - from);
    }
    for (at = 0; lki_json_member(record, bytes, &at, &m) == 1;) {
        LK_ASSERT(m.value_at + m.value_bytes <= bytes && m.name_at + m.name_bytes <= m.value_at);
        (void)lki_json_unescape(record + m.name_at, m.name_bytes, out);
        lki_guess_json(&guess, m.kind, record + m.value_at, m.value_bytes);
        out->used = 0;
        if (m.kind == JSON_ARRAY && lki_array_from_json(record + m.value_at, m.value_bytes, out)) {
            struct lki_text back = {0};
            LK_ASSERT(lki_array_to_json(out->bytes, out->used, FORM_STRING, &back));
            lki_text_fini(&back);
        }
    }
    LK_ASSERT(lki_guess_type(&guess) != NULL);
    out->used = 0;
    (void)lki_array_to_json(record, bytes, FORM_NUMBER, out);
}

static void
one_csv(const char *record, size_t bytes, struct lki_text *out)
{
    struct lki_field field;
    struct lki_guess guess;
    size_t at = 0;
    lki_guess_init(&guess);
    while (lki_csv_field(record, bytes, ',', &at, &field)) {
        LK_ASSERT(field.at + field.bytes <= bytes);
        lki_csv_value(record, &field, out);
        lki_guess_text(&guess, out->bytes, out->used);
    }
    LK_ASSERT(lki_guess_type(&guess) != NULL);
}

/* COPY's text form gives back what was put in. */
static void
one_copy(const char *text, size_t bytes, struct lki_text *out)
{
    struct lki_text back = {0};
    size_t at = 0;
    bool null;
    out->used = 0;
    lki_copy_escape(text, bytes, out);
    LK_ASSERT(lki_copy_field(out->bytes, out->used, &at, &back, &null) && !null);
    LK_ASSERT(back.used == bytes && (bytes == 0 || memcmp(back.bytes, text, bytes) == 0));
    lki_text_fini(&back);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    const char *text = (const char *)data;
    struct lki_text out = {0};
    bool csv = bytes > 0 && (text[0] & 1) != 0;
    for (size_t at = bytes > 0; at < bytes;) {
        size_t scanned = 0, slow = 0, slow_end = 0;
        bool quoted = false, slow_quoted = false;
        size_t end = lki_record_end(text + at, bytes - at, csv, &scanned, &quoted);
        for (size_t n = 1; n <= bytes - at && slow_end == 0; n++)
            slow_end = lki_record_end(text + at, n, csv, &slow, &slow_quoted);
        LK_ASSERT(end == slow_end);
        if (end == 0)
            end = bytes - at;
        size_t trimmed = lki_record_trim(text + at, end);
        (csv ? one_csv : one_json)(text + at, trimmed, &out);
        one_copy(text + at, trimmed, &out);
        at += end;
    }
    lki_text_fini(&out);
    return 0;
}
