/*
 * main/transfer/record.h - what import and export know of CSV, NDJSON and the text form of COPY:
 * pure functions over bytes. What they are given is anybody's file, so nothing is trusted.
 */
#ifndef LK_MAIN_TRANSFER_RECORD_H
#define LK_MAIN_TRANSFER_RECORD_H

#include "main/transfer/text.h"

/* --- records of a file --- */

/* Bytes of the record at the start of text, its line end included; 0: it goes on behind `bytes`.
 * A record of CSV goes on over line ends between quotes. *scanned and *quoted are kept by the
 * caller while the record grows, both zero at first. */
size_t lki_record_end(const char *text, size_t bytes, bool csv, size_t *scanned, bool *quoted);
/* Without the line end, be it \n or \r\n. */
size_t lki_record_trim(const char *text, size_t bytes);
size_t lki_record_lines(const char *text, size_t bytes);

/* One field of a CSV record. */
struct lki_field {
    size_t at, bytes; /* of its text, between the quotes if it is quoted */
    bool quoted;      /* doubled quotes are still in the text */
};
/* Cuts the field at *at and moves on; false: there is none left. */
bool lki_csv_field(const char *record, size_t bytes, char delimiter, size_t *at,
                   struct lki_field *out);
/* Its value. */
void lki_csv_value(const char *record, const struct lki_field *field, struct lki_text *out);

/* --- JSON --- */

enum lki_json { JSON_BAD, JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

/* Skips space, then the value at *at, which is checked to its end; *out_from is where it begins. */
enum lki_json lki_json_skip(const char *text, size_t bytes, size_t *at, size_t *out_from);
/* The text of a string, quotes included; false: half a surrogate pair, or a NUL. */
bool lki_json_unescape(const char *string, size_t bytes, struct lki_text *out);
void lki_json_quote(const char *text, size_t bytes, struct lki_text *out);
/* Is this text a number in JSON's form? */
bool lki_json_is_number(const char *text, size_t bytes);

/* One member of an object: the name with its quotes, and the value. */
struct lki_member {
    size_t name_at, name_bytes;
    size_t value_at, value_bytes;
    enum lki_json kind;
};
/* Walks the members of the object that is the whole text. Begins with at = 0. 1: a member, 0: the
 * end, -1: the text is no object. */
int lki_json_member(const char *text, size_t bytes, size_t *at, struct lki_member *out);

/* --- arrays --- */

/* A JSON array in the form of SQL: {1,"a b",NULL,{...}}; false: it holds what no array can. */
bool lki_array_from_json(const char *json, size_t bytes, struct lki_text *out);
enum lki_form { FORM_STRING, FORM_NUMBER, FORM_BOOL, FORM_JSON };
/* The other way round; false: the text is no array. */
bool lki_array_to_json(const char *text, size_t bytes, enum lki_form element, struct lki_text *out);
/* One value, from its text in SQL. */
void lki_form_to_json(const char *text, size_t bytes, enum lki_form form, struct lki_text *out);

/* --- the text form of COPY --- */

void lki_copy_escape(const char *text, size_t bytes, struct lki_text *out);
/* The field at *at, without escapes; *out_null: it is \N. False: there is none left. */
bool lki_copy_field(const char *line, size_t bytes, size_t *at, struct lki_text *out,
                    bool *out_null);

/* --- types from data --- */

struct lki_guess {
    uint32_t possible;
    bool seen; /* something but nulls */
};
void lki_guess_init(struct lki_guess *guess);
/* A field of CSV. */
void lki_guess_text(struct lki_guess *guess, const char *text, size_t bytes);
/* A value of JSON, as it is written. */
void lki_guess_json(struct lki_guess *guess, enum lki_json kind, const char *text, size_t bytes);
const char *lki_guess_type(const struct lki_guess *guess);

#endif
