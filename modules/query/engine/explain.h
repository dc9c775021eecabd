/* explain.h - EXPLAIN: what operators say of themselves. */
#ifndef ENGINE_EXPLAIN_H
#define ENGINE_EXPLAIN_H

#include "exec.h"

/* The execution, when it was analyzed; NULL otherwise. */
const struct exec *eng_explain_exec(const struct explain *ex);
void eng_explain_text(struct explain *ex, const char *key, const char *text);
struct spill;
/* Bytes written to temporary files, if any were. */
void eng_explain_spill(struct explain *ex, const struct spill *spill);
void eng_explain_num(struct explain *ex, const char *key, double value);
/* Conditions, sort keys and expressions in words close to SQL. */
void eng_explain_conds(struct explain *ex, const char *key, const struct rel *rel);
void eng_explain_list(struct explain *ex, const char *key, const struct ex_list *list);
void eng_explain_exprs(struct explain *ex, const char *key, struct ex *const *exs, uint32_t count);
void eng_explain_keys(struct explain *ex, const char *key, const struct ex_key *keys,
                      uint32_t count);

/* What an operator is called; scans say how they read. (op_scan.c) */
const char *eng_scan_title(const struct op *op);
const char *eng_scan_index(const struct op *op); /* the index it reads, NULL: none */
/* A subprogram as a subtree of the operator. */
void eng_explain_prog(struct explain *ex, const char *what, const struct prog *prog);

luma_rc eng_explain(struct luma_ctx *ctx, struct luma_session *session, struct luma_txn *txn,
                    struct luma_query *query, const struct luma_value *params,
                    uint32_t params_count, const struct luma_explain_opts *opts,
                    const char *const **out_lines, uint32_t *out_count);

#endif
