/*
 * storage/segment/formula.c - conditions on documents with holes.
 *
 * Documents of a group differ in the values of their holes and have few forms: their column is a
 * dictionary. For each form the condition becomes a formula over the leaves ("leaf 7 is 'x' or leaf
 * 9 is 'x'"); forms with the same formula are one class. A window then costs its codes and the
 * predicates of the leaves that its classes name, on encoded values; no document is put together.
 */
#include "storage/segment/formula.h"

#define ATOMS_MAX   64
#define CLASSES_MAX 48
#define FORMS_MAX   8192
#define CODE_MAX    1024 /* bytes of one formula */
#define DEPTH_MAX   48
#define PATH_MAX_   1024

enum { NEVER = 0, ALWAYS = 1, CODE = 2, FAILED = 3 }; /* of a part; the first two are classes */
enum { OP_ATOM = 1, OP_AND = 2, OP_OR = 3 };          /* a byte, and an atom in another */

/* A predicate on one leaf, and its rows of the window. */
struct atom {
    struct luma_slice wanted; /* what it was made of: JSON's scalar */
    uint32_t leaf, value_at;  /* else which value of the condition */
    struct luma_pred on;
    struct luma_value value;
    struct lki_pred pred;
    uint64_t bits[WINDOW_WORDS];
    uint32_t window; /* bits are those of it, UINT32_MAX: of none */
};

struct form_class {
    uint8_t *code;
    uint32_t bytes;
    bool met; /* in this window */
    uint64_t rows[WINDOW_WORDS];
};

struct lki_formula {
    const struct lk_segment_cursor *cursor; /* while it is made */
    const struct lki_cursor_col *column;
    const struct luma_field_pred *field;
    struct atom atoms[ATOMS_MAX];
    uint32_t atoms_count;
    struct form_class classes[CLASSES_MAX];
    uint32_t classes_count;
    const struct luma_str *docs; /* the forms */
    uint32_t docs_count;
    struct luma_str one; /* when there is one */
    uint16_t class_of[FORMS_MAX];
    uint8_t code[CODE_MAX];
    uint32_t code_bytes;
    uint64_t stack[DEPTH_MAX + 2][WINDOW_WORDS];
};

static luma_rc
no_memory(struct luma_ctx *ctx)
{
    return LUMA_FAIL(ctx, LUMA_E_NOMEM, "no memory for conditions on documents");
}

void
lki_formula_reset(struct lki_formula *f)
{
    if (f == NULL)
        return;
    for (uint32_t i = 0; i < f->atoms_count; i++)
        lki_pred_fini(&f->atoms[i].pred);
    for (uint32_t i = 2; i < f->classes_count; i++)
        lk_free(NULL, f->classes[i].code, f->classes[i].bytes);
    f->atoms_count = f->classes_count = 0;
}

void
lki_formula_free(struct lki_formula *f)
{
    lki_formula_reset(f);
    lk_free(NULL, f, f == NULL ? 0 : sizeof(*f));
}

/* --- code --- */

static bool
emit(struct lki_formula *f, uint8_t op, uint32_t v)
{
    if (f->code_bytes + 2 > CODE_MAX || v > UINT8_MAX)
        return false;
    f->code[f->code_bytes++] = op;
    f->code[f->code_bytes++] = (uint8_t)v;
    return true;
}

/* Parts of an AND or OR are made one after the other; `ends` is what decides all of it. */
struct joint {
    uint8_t op;
    int ends;
    uint32_t from, count;
    bool failed;
};

static struct joint
joint_begin(const struct lki_formula *f, uint8_t op)
{
    return (struct joint){op, op == OP_AND ? NEVER : ALWAYS, f->code_bytes, 0, false};
}

/* true: what comes after does not matter. */
static bool
joint_add(struct lki_formula *f, struct joint *j, int part)
{
    if (part == j->ends || part == FAILED) {
        f->code_bytes = j->from;
        return true;
    }
    if (part == CODE && ++j->count > 1 && !emit(f, j->op, 0)) {
        f->code_bytes = j->from;
        j->failed = true;
    }
    return j->failed;
}

static int
joint_end(const struct joint *j)
{
    return j->failed ? FAILED : j->count > 0 ? CODE : j->ends == NEVER ? ALWAYS : NEVER;
}

/* --- predicates on leaves --- */

static int
atom_judged(struct lki_formula *f, const struct atom *atom, struct luma_type type)
{
    const struct lki_chunk *chunk = f->column->leaves[atom->leaf].chunk;
    switch (lki_pred_judge(f->cursor->segment, chunk, type, &atom->on)) {
    case LKI_NEVER:
        return NEVER;
    case LKI_ALWAYS:
        return ALWAYS;
    default:
        return CODE;
    }
}

/* The leaf's value, which is there, satisfies `as` op value. */
static int
atom_add(struct lki_formula *f, uint32_t leaf, struct luma_type as, enum luma_pred_op op,
         const struct luma_value *value, struct luma_slice wanted, uint32_t value_at)
{
    const struct lki_cursor_col *column = &f->column->leaves[leaf];
    struct lki_bounds b;

    for (uint32_t i = 0; i < f->atoms_count; i++)
        if (f->atoms[i].leaf == leaf && f->atoms[i].wanted.data == wanted.data &&
            f->atoms[i].value_at == value_at)
            return emit(f, OP_ATOM, i) ? CODE : FAILED;
    if (column->at < 0 || column->chunk == NULL || f->atoms_count == ATOMS_MAX)
        return FAILED;
    struct atom *atom = &f->atoms[f->atoms_count];
    *atom =
        (struct atom){.wanted = wanted, .leaf = leaf, .value_at = value_at, .window = UINT32_MAX};
    atom->on = (struct luma_pred){0, op, 1, &atom->value};
    if (as.id == LUMA_TYPE_JSONB) {
        atom->value = *value;
    } else {
        lki_leaf_bounds(f->cursor->segment, column->chunk, column->type, &b);
        switch (lki_leaf_fit(column->type, b.known ? &b.lo : NULL, b.known ? &b.hi : NULL, as, op,
                             value, &atom->on.op, &atom->value)) {
        case LKI_FIT_CANNOT:
            return FAILED;
        case LKI_FIT_NEVER:
            return NEVER;
        case LKI_FIT_ALL:
            return ALWAYS;
        default:
            break;
        }
    }
    int judged = atom_judged(f, atom, column->type);
    if (judged != CODE)
        return judged;
    atom->pred.pred = &atom->on;
    atom->pred.order = lki_order_of(column->type, column->chunk->phys);
    return emit(f, OP_ATOM, f->atoms_count++) ? CODE : FAILED;
}

/* The leaf's value is JSON's scalar. */
static int
equals(struct lki_formula *f, uint32_t leaf, struct luma_slice scalar)
{
    struct luma_value v;
    struct luma_type type;

    if (leaf >= f->column->leaves_count)
        return FAILED;
    type = f->column->leaves[leaf].type;
    if (type.id == LUMA_TYPE_JSONB) {
        v = (struct luma_value){.type = type, .phys = LUMA_PHYS_STR};
        v.str = luma_str_make((const char *)scalar.data, (uint32_t)scalar.bytes);
        return atom_add(f, leaf, type, LUMA_PRED_EQ, &v, scalar, UINT32_MAX);
    }
    char kind = lk_data_doc_kind(scalar);
    bool number = type.id == LUMA_TYPE_INT8 || type.id == LUMA_TYPE_NUMERIC;
    if (kind != (number                      ? 'n'
                 : type.id == LUMA_TYPE_BOOL ? 'b'
                                             : 's') ||
        !lk_data_doc_scalar(scalar, NULL, &v))
        return NEVER;
    return atom_add(f, leaf, v.type, LUMA_PRED_EQ, &v, scalar, UINT32_MAX);
}

/* --- containment --- */

static bool
is_container(struct luma_slice doc)
{
    char kind = lk_data_doc_kind(doc);
    return kind == 'a' || kind == 'o';
}

static int contains(struct lki_formula *f, struct luma_slice have, struct luma_slice wanted,
                    int depth);

static int
array_has(struct lki_formula *f, struct luma_slice array, struct luma_slice wanted, int depth)
{
    struct joint any = joint_begin(f, OP_OR);
    uint32_t count = lk_data_doc_count(array);

    for (uint32_t i = 0; i < count; i++) {
        struct luma_slice name, at;
        if (!lk_data_doc_at(array, i, &name, &at))
            return FAILED;
        int part = contains(f, at, wanted, depth + 1);
        if (joint_add(f, &any, part))
            return any.failed ? FAILED : part;
    }
    return joint_end(&any);
}

static int
contains(struct lki_formula *f, struct luma_slice have, struct luma_slice wanted, int depth)
{
    uint32_t leaf;

    if (depth >= DEPTH_MAX / 2)
        return FAILED;
    if (lk_data_doc_hole(have, &leaf))
        return is_container(wanted) ? NEVER : equals(f, leaf, wanted);
    if (!is_container(wanted))
        return !is_container(have) && lk_data_doc_compare(have, wanted) == 0 ? ALWAYS : NEVER;
    char kind = lk_data_doc_kind(wanted);
    if (lk_data_doc_kind(have) != kind)
        return NEVER;
    struct joint all = joint_begin(f, OP_AND);
    uint32_t count = lk_data_doc_count(wanted);
    for (uint32_t i = 0; i < count; i++) {
        struct luma_slice name, value, at;
        int part = NEVER;
        if (!lk_data_doc_at(wanted, i, &name, &value))
            return FAILED;
        if (kind == 'a')
            part = array_has(f, have, value, depth);
        else if (lk_data_doc_field(have, name, &at))
            part = contains(f, at, value, depth + 1);
        if (joint_add(f, &all, part))
            return all.failed ? FAILED : part;
    }
    return joint_end(&all);
}

/* --- comparisons --- */

/* A value that is in the form itself: only texts are compared. */
static int
compare_literal(struct lki_formula *f, struct luma_slice part, enum luma_pred_op op,
                const struct luma_value *value)
{
    struct luma_value v;
    if (lk_data_doc_kind(part) == 'z')
        return NEVER;
    if (f->field->as.id != LUMA_TYPE_TEXT || lk_data_doc_kind(part) != 's' ||
        !lk_data_doc_scalar(part, NULL, &v) || v.type.id != LUMA_TYPE_TEXT)
        return FAILED;
    return lki_pred_holds(op, luma_str_compare(&v.str, &value->str)) ? ALWAYS : NEVER;
}

static int
compares(struct lki_formula *f, struct luma_slice part)
{
    const struct luma_field_pred *field = f->field;
    enum luma_pred_op op = field->op == LUMA_PRED_IN ? LUMA_PRED_EQ : field->op;
    struct joint any = joint_begin(f, OP_OR);
    uint32_t leaf;

    for (uint32_t i = 0; i < field->values_count; i++) {
        int one =
            lk_data_doc_hole(part, &leaf)
                ? leaf < f->column->leaves_count
                      ? atom_add(f, leaf, field->as, op, &field->values[i], luma_slice(NULL, 0), i)
                      : FAILED
                : compare_literal(f, part, op, &field->values[i]);
        if (joint_add(f, &any, one))
            return any.failed ? FAILED : one;
    }
    return joint_end(&any);
}

/* --- a form --- */

static int
form(struct lki_formula *f, struct luma_slice doc)
{
    const struct luma_path *path = f->column->path;
    enum luma_pred_op op = f->field->op;
    uint32_t leaf;
    bool null, hole;

    if (f->column->def->type.id == LUMA_TYPE_JSON) {
        if (doc.bytes < 2 || doc.data[0] == LK_JSON_RAW)
            return FAILED;
        doc = luma_slice(doc.data + 1, doc.bytes - 1);
    }
    null = path != NULL && !lk_data_path_find(doc, path->steps, path->steps_count, &doc);
    hole = !null && lk_data_doc_hole(doc, &leaf);
    if (path != NULL && path->type.id == LUMA_TYPE_TEXT && !null && !hole)
        null = lk_data_doc_kind(doc) == 'z';
    if (op == LUMA_PRED_IS_NULL || op == LUMA_PRED_NOT_NULL)
        return null == (op == LUMA_PRED_IS_NULL) ? ALWAYS : NEVER;
    if (null)
        return NEVER;
    if (op != LUMA_PRED_CONTAINS)
        return compares(f, doc);
    struct luma_slice wanted = luma_str_slice(&f->field->values[0].str);
    /* ["a", "b"] @> "a": only at the top. */
    if (!is_container(wanted) && !hole && lk_data_doc_kind(doc) == 'a')
        return array_has(f, doc, wanted, 0);
    return contains(f, doc, wanted, 0);
}

/* The class of the formula in code; FAILED: too many. */
static int
class_of_code(struct lki_formula *f)
{
    for (uint32_t i = 2; i < f->classes_count; i++)
        if (f->classes[i].bytes == f->code_bytes &&
            memcmp(f->classes[i].code, f->code, f->code_bytes) == 0)
            return (int)i;
    if (f->classes_count == CLASSES_MAX)
        return -1;
    struct form_class *c = &f->classes[f->classes_count];
    c->code = lk_alloc(NULL, f->code_bytes);
    if (c->code == NULL)
        return -1;
    memcpy(c->code, f->code, f->code_bytes);
    c->bytes = f->code_bytes;
    return (int)f->classes_count++;
}

/* false: some form cannot be asked. */
static bool
forms(struct lki_formula *f, const struct luma_str *docs, uint32_t count, bool *out_any)
{
    f->classes_count = 2;
    *out_any = false;
    for (uint32_t i = 0; i < count; i++) {
        f->code_bytes = 0;
        int made = form(f, luma_str_slice(&docs[i]));
        if (made == CODE)
            made = class_of_code(f);
        else if (made == FAILED)
            made = -1;
        if (made < 0)
            return false;
        f->class_of[i] = (uint16_t)made;
        *out_any = *out_any || made != NEVER;
    }
    return true;
}

/* The forms: a dictionary that all windows share, or one document that is every row's. *out_docs
 * NULL: there is no such list. */
static luma_rc
list_forms(struct luma_ctx *ctx, struct lk_segment_cursor *cursor, struct lki_cursor_col *column,
           struct luma_str *one, const struct luma_str **out_docs, uint32_t *out_count)
{
    struct luma_vec vec;

    *out_docs = NULL;
    *out_count = 1;
    for (uint32_t first = 0; first < cursor->group_rows; first += WINDOW) {
        uint32_t n = LK_MIN(cursor->group_rows - first, (uint32_t)WINDOW);
        cursor->window_first = first;
        LUMA_TRY(lki_cursor_decode(ctx, cursor, column, n, NULL, 0, &vec));
        if (vec.form == LUMA_VEC_DICT) {
            *out_docs = vec.dict->data;
            *out_count = vec.dict_rows;
            break;
        }
        if (vec.form != LUMA_VEC_CONST || luma_vec_is_null(&vec, 0) ||
            (first > 0 && !luma_str_equal(one, vec.data))) {
            *out_docs = NULL;
            break;
        }
        memcpy(one, vec.data, sizeof(*one));
        *out_docs = one;
    }
    cursor->window_first = 0;
    return LUMA_OK;
}

luma_rc
lki_formula_enter(struct luma_ctx *ctx, struct lk_segment_cursor *cursor, struct lki_field *field)
{
    struct lki_cursor_col *column = &cursor->columns[field->field->col];
    bool any;

    if (field->formula == NULL)
        field->formula = lk_zalloc(NULL, sizeof(*field->formula));
    struct lki_formula *f = field->formula;
    if (f == NULL)
        return no_memory(ctx);
    lki_formula_reset(f);
    LUMA_TRY(list_forms(ctx, cursor, column, &f->one, &f->docs, &f->docs_count));
    if (f->docs == NULL || f->docs_count > FORMS_MAX)
        return LUMA_OK;
    f->cursor = cursor;
    f->column = column;
    f->field = field->field;
    field->judged = forms(f, f->docs, f->docs_count, &any);
    /* Nulls are no forms. */
    if (field->judged && !any && field->field->op != LUMA_PRED_IS_NULL)
        cursor->dead = true;
    return LUMA_OK;
}

/* --- a window --- */

static luma_rc
atom_run(struct luma_ctx *ctx, struct lk_segment_cursor *cursor, struct lki_cursor_col *column,
         struct atom *atom, uint32_t n)
{
    if (atom->window == cursor->window_first)
        return LUMA_OK;
    luma_bits_all(atom->bits, n, true);
    LUMA_TRY(
        lki_pred_on_column(ctx, cursor, &atom->pred, &column->leaves[atom->leaf], n, atom->bits));
    atom->window = cursor->window_first;
    return LUMA_OK;
}

/* The formula's rows end up at the bottom of the stack. */
static luma_rc
run(struct luma_ctx *ctx, struct lk_segment_cursor *cursor, struct lki_formula *f,
    struct lki_cursor_col *column, const struct form_class *c, uint32_t n)
{
    uint32_t words = (uint32_t)LUMA_BIT_WORDS(n), top = 0;
    for (uint32_t at = 0; at < c->bytes; at += 2) {
        uint32_t v = c->code[at + 1];
        if (c->code[at] == OP_ATOM) {
            LUMA_TRY(atom_run(ctx, cursor, column, &f->atoms[v], n));
            memcpy(f->stack[top++], f->atoms[v].bits, words * sizeof(uint64_t));
            continue;
        }
        uint64_t *a = f->stack[top - 2];
        const uint64_t *b = f->stack[--top];
        for (uint32_t w = 0; w < words; w++)
            a[w] = c->code[at] == OP_AND ? a[w] & b[w] : a[w] | b[w];
    }
    return LUMA_OK;
}

/* A window's only document among the forms. */
static uint32_t
form_of(const struct lki_formula *f, const struct luma_str *doc)
{
    uint32_t i = 0;
    while (i + 1 < f->docs_count && !luma_str_equal(&f->docs[i], doc))
        i++;
    return i;
}

/* Which rows of bits are of which class. */
static void
sort_rows(struct lki_formula *f, const struct luma_vec *vec, uint32_t n, const uint64_t *bits)
{
    const uint32_t *codes = vec->data;
    bool dict = vec->form == LUMA_VEC_DICT;
    uint32_t only = dict ? 0 : form_of(f, vec->data);
    for (uint32_t i = 0; i < f->classes_count; i++)
        f->classes[i].met = false;
    for (uint32_t w = 0; w < LUMA_BIT_WORDS(n); w++)
        for (uint64_t left = bits[w]; left != 0; left &= left - 1) {
            uint32_t row = w * 64 + (uint32_t)__builtin_ctzll(left);
            struct form_class *c = &f->classes[f->class_of[dict ? codes[row] : only]];
            if (!c->met)
                memset(c->rows, 0, sizeof(c->rows));
            c->met = true;
            luma_bit_set(c->rows, row);
        }
}

luma_rc
lki_formula_apply(struct luma_ctx *ctx, struct lk_segment_cursor *cursor, struct lki_field *field,
                  uint32_t n, uint64_t *bits)
{
    struct lki_cursor_col *column = &cursor->columns[field->field->col];
    struct lki_formula *f = field->formula;
    uint64_t out[WINDOW_WORDS] = {0};
    struct luma_vec vec;
    uint32_t words = (uint32_t)LUMA_BIT_WORDS(n);

    LUMA_TRY(lki_cursor_decode(ctx, cursor, column, n, NULL, 0, &vec));
    if (field->field->op == LUMA_PRED_IS_NULL)
        for (uint32_t w = 0; vec.valid != NULL && w < words; w++)
            out[w] = bits[w] & ~vec.valid[w];
    for (uint32_t w = 0; vec.valid != NULL && w < words; w++)
        bits[w] &= vec.valid[w];
    sort_rows(f, &vec, n, bits);
    for (uint32_t i = 1; i < f->classes_count; i++) {
        const struct form_class *c = &f->classes[i];
        if (!c->met)
            continue;
        if (i > ALWAYS)
            LUMA_TRY(run(ctx, cursor, f, column, c, n));
        for (uint32_t w = 0; w < words; w++)
            out[w] |= i == ALWAYS ? c->rows[w] : c->rows[w] & f->stack[0][w];
    }
    memcpy(bits, out, words * sizeof(uint64_t));
    return LUMA_OK;
}

/* --- bounds alone --- */

static bool
scalar_never(const struct lk_segment_cursor *cursor, uint32_t first, uint32_t count,
             struct luma_slice path, struct luma_slice scalar)
{
    const struct lk_segment *segment = cursor->segment;
    struct luma_value v, bound;
    enum luma_pred_op op;
    struct lki_bounds b;

    for (uint32_t i = first; i < first + count; i++) {
        const struct lki_chunk *chunk = lki_segment_chunk(segment, cursor->group, i);
        struct luma_type type = lki_segment_col_type(&segment->col[i]);
        if (!luma_slice_equal(lki_leaf_path(segment, i), path))
            continue;
        if ((chunk->marks & LKI_MARK_EXACT) == 0 || type.id == LUMA_TYPE_JSONB ||
            !lk_data_doc_scalar(scalar, NULL, &v) || v.is_null)
            return false;
        bool number = type.id == LUMA_TYPE_INT8 || type.id == LUMA_TYPE_NUMERIC;
        if (number ? v.type.id != LUMA_TYPE_NUMERIC : v.type.id != type.id)
            return true;
        lki_leaf_bounds(segment, chunk, type, &b);
        enum lki_fit fit = lki_leaf_fit(type, b.known ? &b.lo : NULL, b.known ? &b.hi : NULL,
                                        v.type, LUMA_PRED_EQ, &v, &op, &bound);
        const struct luma_pred pred = {0, op, 1, &bound};
        return fit == LKI_FIT_NEVER ||
               (fit == LKI_FIT_OP && lki_pred_judge(segment, chunk, type, &pred) == LKI_NEVER);
    }
    return false;
}

/* Some scalar that must be there is in no document. */
static bool
never_at(const struct lk_segment_cursor *cursor, uint32_t first, uint32_t count, uint8_t *path,
         size_t bytes, struct luma_slice wanted, int depth)
{
    char kind = lk_data_doc_kind(wanted);
    if (kind != 'o')
        return bytes > 0 && kind != 'a' &&
               scalar_never(cursor, first, count, luma_slice(path, bytes), wanted);
    for (uint32_t i = 0; i < lk_data_doc_count(wanted) && depth < DEPTH_MAX; i++) {
        struct luma_slice name, value;
        if (!lk_data_doc_at(wanted, i, &name, &value) || bytes + 3 + name.bytes > PATH_MAX_)
            continue;
        uint16_t n = (uint16_t)name.bytes;
        path[bytes] = 1;
        memcpy(path + bytes + 1, &n, 2);
        memcpy(path + bytes + 3, name.data, name.bytes);
        if (never_at(cursor, first, count, path, bytes + 3 + name.bytes, value, depth + 1))
            return true;
    }
    return false;
}

bool
lki_contains_never(const struct lk_segment_cursor *cursor, const struct luma_field_pred *field)
{
    const struct lki_cursor_col *column = &cursor->columns[field->col];
    uint8_t path[PATH_MAX_];
    uint32_t first, count;

    if (column->way != LKI_WAY_JOIN || column->def->type.id != LUMA_TYPE_JSONB)
        return false;
    count = lki_segment_leaves(cursor->segment, (uint32_t)column->at, &first);
    return never_at(cursor, first, count, path, 0, luma_str_slice(&field->values[0].str), 0);
}
