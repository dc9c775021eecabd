/*
 * tests/crash/lives.c - lives of a data folder, ended by power cuts and other misfortunes.
 */
#include "../lib/quiet.h"
#include "../unit/storage/segment/modules.h"
#include "workload.h"

struct crash_phases crash_phases[CRASH_PHASES + 1] = {
    {"group commit", 0}, {"flush", 0},    {"merge", 0},   {"manifest switch", 0},
    {"log roll", 0},     {"recovery", 0}, {"rebuild", 0}, {"index build", 0},
    {"move", 0},         {"", 0},
};

/* --- lives --- */

static void
count_crash(struct run *run)
{
    const char *phase = lk_io_sim_cut_phase(run->io);
    for (int i = 0; i <= CRASH_PHASES; i++) {
        if (i == CRASH_PHASES || strcmp(phase, crash_phases[i].name) == 0) {
            crash_phases[i].crashes++;
            return;
        }
    }
}

static struct lk_store_conf
conf_of(struct run *run)
{
    struct lk_store_conf conf;
    lk_store_conf_default(&conf);
    conf.io = run->io;
    conf.dir = "/data";
    conf.services = &test_host_services;
    conf.wal_file_bytes = 64u << 10;
    conf.small_bytes = 6u << 10;
    conf.cache_bytes = 8u << 20;
    conf.wal_inline = true;
    conf.wal_archive = run->seed % 3 == 0 ? "/archive" : NULL;
    conf.build_rows = 0;
    conf.cold_dir = "/cold";
    conf.tier.bytes = 1; /* every segment is old */
    conf.large_bytes = run->seed % 2 == 1 ? 3000 : 0;
    conf.replay_bytes = run->seed % 4 == 2 ? 3000 : 0;
    conf.build_pause = crash_while_building;
    conf.build_pause_arg = run;
    conf.merge_pause = crash_while_merging;
    conf.merge_pause_arg = run;
    conf.history_ns = crash_past_ns(run);
    return conf;
}

static bool
open_store(struct run *run)
{
    struct lk_store_conf conf = conf_of(run);
    struct luma_txn *txn = NULL;
    crash_reset(run);
    luma_rc rc = lk_store_open(&run->c.ctx, &conf, &run->store);
    if (rc == LUMA_OK) {
        /* The definitions come with the first commit; a crash may have taken it. */
        struct luma_coll *h = NULL;
        rc = lk_txn_host.begin(&run->c.ctx, NULL, &txn);
        if (rc == LUMA_OK &&
            lk_store_host.open(&run->c.ctx, txn, crash_coll_ids[0], &h) != LUMA_OK) {
            crash_reset(run);
            rc = crash_define(run, txn);
        }
        lk_store_host.close(h);
        if (rc == LUMA_OK)
            rc = lk_txn_host.commit(&run->c.ctx, txn);
        else
            lk_txn_host.rollback(txn);
    }
    if (rc != LUMA_OK && !crash_is_dead(run))
        BROKEN(run, "opening failed: %s", run->c.error.message);
    return rc == LUMA_OK;
}

static void
close_store(struct run *run)
{
    crash_old_end(run);
    for (int t = 0; t < TXNS; t++) {
        if (run->txns[t].txn != NULL)
            lk_txn_host.rollback(run->txns[t].txn);
        crash_release(run, t);
    }
    lk_store_close(run->store);
    run->store = NULL;
}

struct pick_run {
    struct lk_rand *r;
    uint32_t count;
    char name[64];
};

static luma_rc
run_found(void *arg, const char *name, bool is_dir)
{
    struct pick_run *pick = arg;
    size_t bytes = strlen(name);
    if (is_dir || bytes < 5 || bytes >= sizeof(pick->name) || strcmp(name + bytes - 4, ".run") != 0)
        return LUMA_OK;
    if (lk_rand_below(pick->r, ++pick->count) == 0)
        memcpy(pick->name, name, bytes + 1);
    return LUMA_OK;
}

/* Between two lives a bit of an index run turns over, where opening it tells. */
static void
damage_run(struct run *run)
{
    struct pick_run pick = {.r = &run->r};
    struct lk_io_stat stat;
    char path[128];
    crash_reset(run);
    if (lk_io_list(&run->c.ctx, run->io, "/data", run_found, &pick) != LUMA_OK || pick.count == 0)
        return;
    snprintf(path, sizeof(path), "/data/%s", pick.name);
    if (lk_io_stat(&run->c.ctx, run->io, path, &stat) != LUMA_OK || stat.bytes < 100)
        return;
    uint64_t at = lk_rand_below(&run->r, 32);
    lk_io_sim_corrupt(run->io, path, lk_rand_percent(&run->r, 50) ? at : stat.bytes - 1 - at,
                      (unsigned)lk_rand_below(&run->r, 8));
}

static void
one_life(struct run *run, bool cut)
{
    if (lk_rand_percent(&run->r, 25))
        damage_run(run);
    /* The cut may come in recovery, or a good deal later. */
    if (cut)
        lk_io_sim_cut_at(run->io,
                         lk_io_sim_calls(run->io) + 1 +
                             lk_rand_below(&run->r, lk_rand_percent(&run->r, 30)   ? 40
                                                    : lk_rand_percent(&run->r, 50) ? 300
                                                                                   : 1500));
    run->sick = cut && lk_rand_percent(&run->r, 15);
    if (run->sick) {
        struct lk_io_sim_rule rule = {.call = LK_IO_CALL_SYNC, .action = LK_IO_SIM_SYNC_DROP};
        rule.skip = lk_rand_below(&run->r, 60);
        rule.times = 1;
        lk_io_sim_rule(run->io, &rule);
    }
    if (open_store(run)) {
        crash_verify(run, NULL, true);
        if (!crash_is_dead(run))
            run->is_maybe = false;
        crash_past_verify(run);
        uint64_t ops = 50 + lk_rand_below(&run->r, 600);
        for (uint64_t i = 0; i < ops && !crash_is_dead(run) && run->broken == NULL; i++)
            crash_op(run);
    }
    if (!crash_is_dead(run))
        lk_io_sim_crash(run->io);
    close_store(run);
    if (cut)
        count_crash(run);
    lk_io_sim_cut_at(run->io, 0);
    lk_io_sim_rules_clear(run->io);
    lk_io_sim_restart(run->io);
    run->lives++;
}

static void
check_folder(struct run *run)
{
    struct lk_store_conf conf = conf_of(run);
    crash_reset(run);
    if (lk_store_check(&run->c.ctx, &conf, NULL) != LUMA_OK)
        BROKEN(run, "the check of the folder failed: %s", run->c.error.message);
}

static struct run *
run_new(uint64_t seed)
{
    struct run *run = calloc(1, sizeof(*run));
    run->seed = seed;
    lk_rand_init(&run->r, seed);
    run->io = lk_io_sim_create(seed);
    run->arena = lk_arena_create(NULL, 0);
    memset(run->owner, -1, sizeof(run->owner));
    memset(run->coll_owner, -1, sizeof(run->coll_owner));
    return run;
}

static const char *
run_free(struct run *run)
{
    const char *broken = run->broken;
    lk_arena_destroy(run->arena);
    lk_io_sim_destroy(run->io);
    free(run->past);
    free(run);
    return broken;
}

/* The last life ends well. */
static void
last_life(struct run *run)
{
    if (run->broken == NULL && open_store(run)) {
        crash_verify(run, NULL, true);
        run->is_maybe = false;
        crash_past_verify(run);
    }
    close_store(run);
    if (run->broken == NULL)
        check_folder(run);
}

/* --- one fault, anywhere --- */

#define SWEEP_OPS 120

static void
fault_set(struct run *run, const struct crash_fault *fault)
{
    if (fault == NULL)
        return;
    struct lk_io_sim_rule rule = {
        .call = fault->call, .action = fault->action, .skip = fault->at - 1, .times = 1};
    lk_io_sim_rule(run->io, &rule);
    run->sick = fault->action != LK_IO_SIM_POWER_CUT;
    run->rotten = fault->action == LK_IO_SIM_ASTRAY || fault->action == LK_IO_SIM_HOLES;
}

/* The end of the log is the one place where nothing tells that something is missing. */
static void
tail_may_lack(struct run *run)
{
    const char *path = NULL;
    uint64_t since = 0;
    if (!lk_io_sim_lost_write(run->io, &path, &since))
        return;
    if (run->verbose)
        fprintf(stderr, "lost: a write to %s, with %llu after it\n", path,
                (unsigned long long)since);
    if (strstr(path, "/wal/") == NULL || since > 0)
        return;
    run->maybe = run->before;
    run->is_maybe = true;
}

/* Every way of storing things takes part: rows, flushes, merges, a second start. */
static void
sweep_life(struct run *run)
{
    for (int half = 0; half < 2 && !crash_is_dead(run) && run->broken == NULL; half++) {
        tail_may_lack(run);
        if (open_store(run)) {
            crash_verify(run, NULL, half > 0 && run->rotten);
            crash_past_verify(run);
            run->hurt = run->hurt || run->refused;
            run->is_maybe = run->is_maybe && run->hurt; /* not known yet what is there */
            for (int i = 0; i < SWEEP_OPS && !crash_is_dead(run) && run->broken == NULL; i++) {
                crash_reset(run);
                if (i % 30 == 29)
                    crash_background(run, i % 60 == 59);
                else
                    crash_op(run);
            }
        }
        if (half == 0 && run->rotten && run->store != NULL)
            run->ended = crash_close_off(run);
        if (half == 0)
            close_store(run);
    }
}

static void
said(void *arg, const char *text)
{
    (void)arg;
    fprintf(stderr, "check: %s\n", text);
}

/* After a write that was lost in silence: what is there is right, or refused by name, and the check
 * of the folder says so too. */
static void
rotten_life(struct run *run)
{
    if (run->broken != NULL)
        return;
    tail_may_lack(run);
    run->refused = false;
    struct lk_store_conf conf = conf_of(run);
    crash_reset(run);
    luma_rc rc = lk_store_open(&run->c.ctx, &conf, &run->store);
    if (run->verbose && rc != LUMA_OK)
        fprintf(stderr, "open: %s\n", run->c.error.message);
    if (rc == LUMA_OK) {
        crash_verify(run, NULL, true);
    } else if (rc == LUMA_E_CORRUPT) {
        run->refused = true;
        crash_named(run);
    } else {
        BROKEN(run, "opening failed: %s", run->c.error.message);
    }
    close_store(run);
    crash_reset(run);
    const struct lk_check_say say = {.line = said, .damage = said};
    if (run->refused && run->broken == NULL &&
        lk_store_check(&run->c.ctx, &conf, run->verbose ? &say : NULL) == LUMA_OK)
        BROKEN(run, "the check of the folder finds nothing wrong with it");
}

const char *
crash_sweep(uint64_t seed, const struct crash_fault *fault, uint64_t out_calls[LK_IO_CALL_COUNT_])
{
    struct run *run = run_new(seed);
    run->verbose = getenv("LUMA_CRASH_LOG") != NULL;
    fault_set(run, fault);
    sweep_life(run);
    /* Without a record behind it nothing tells that the end of the log is missing. */
    if (run->is_maybe)
        run->ended = false;
    else if (run->rotten && run->store != NULL)
        run->ended = crash_close_off(run);
    for (int i = 0; out_calls != NULL && i < LK_IO_CALL_COUNT_; i++)
        out_calls[i] = i == LK_IO_CALL_ANY ? lk_io_sim_calls(run->io)
                                           : lk_io_sim_calls_of(run->io, (enum lk_io_call)i);
    if (!lk_io_sim_is_dead(run->io))
        lk_io_sim_crash(run->io);
    close_store(run);
    lk_io_sim_rules_clear(run->io);
    lk_io_sim_restart(run->io);
    run->sick = run->hurt = false;
    if (run->rotten && run->ended)
        rotten_life(run);
    else if (!run->rotten)
        last_life(run);
    return run_free(run);
}

const char *
crash_run(uint64_t seed, bool verbose)
{
    struct run *run = run_new(seed);
    run->verbose = verbose;
    int lives = 3 + (int)lk_rand_below(&run->r, 4);
    for (int i = 0; i < lives && run->broken == NULL; i++) {
        one_life(run, true);
        if (verbose)
            fprintf(stderr, "life %d: cut in \"%s\"%s\n", i, lk_io_sim_cut_phase(run->io),
                    run->is_maybe ? ", a commit is in doubt" : "");
    }
    last_life(run);
    return run_free(run);
}

const struct luma_host_services *
crash_services(void)
{
    return &test_host_services;
}

bool
crash_setup(void)
{
    if (getenv("LUMA_CRASH_LOG") == NULL)
        test_quiet();
    return test_module_load("index-btree");
}
