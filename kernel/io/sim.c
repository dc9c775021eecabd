/* io/sim.c - accounts, rules, and the power of the simulated disk. */
#include "io/sim.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "io/sim_priv.h"

struct lk_io *
lk_io_sim_create(uint64_t seed)
{
    struct sim *sim = calloc(1, sizeof(*sim));
    if (sim == NULL)
        return NULL;
    sim->io.ops = &lki_sim_ops;
    sim->magic = SIM_MAGIC;
    lk_mutex_init(&sim->lock, LK_LOCK_IO_SIM);
    lk_rand_init(&sim->rand, seed);
    lk_list_init(&sim->nodes);
    lk_list_init(&sim->changes);
    sim->clock_ns = 1000000000u;
    return &sim->io;
}

static void
rules_free(struct sim *sim)
{
    for (size_t i = 0; i < sim->rules_count; i++) {
        free((void *)(uintptr_t)sim->rules[i].path_part);
        free((void *)(uintptr_t)sim->rules[i].phase);
    }
    sim->rules_count = 0;
}

void
lk_io_sim_destroy(struct lk_io *io)
{
    if (io == NULL)
        return;
    struct sim *sim = lki_sim_of(io);
    rules_free(sim);
    lki_sim_names_fini(sim);
    LK_ASSERT(lk_list_empty(&sim->nodes));
    lk_mutex_fini(&sim->lock);
    sim->magic = 0;
    free(sim);
}

void
lk_io_sim_rule(struct lk_io *io, const struct lk_io_sim_rule *rule)
{
    struct sim *sim = lki_sim_of(io);
    lk_mutex_lock(&sim->lock);
    LK_ASSERT(sim->rules_count < SIM_RULES_MAX);
    struct lk_io_sim_rule *r = &sim->rules[sim->rules_count++];
    *r = *rule;
    r->path_part = rule->path_part == NULL ? NULL : strdup(rule->path_part);
    r->phase = rule->phase == NULL ? NULL : strdup(rule->phase);
    if (r->times == 0)
        r->times = UINT64_MAX;
    lk_mutex_unlock(&sim->lock);
}

void
lk_io_sim_rules_clear(struct lk_io *io)
{
    struct sim *sim = lki_sim_of(io);
    lk_mutex_lock(&sim->lock);
    rules_free(sim);
    lk_mutex_unlock(&sim->lock);
}

static void
count_phase(struct sim *sim, const char *label)
{
    for (size_t i = 0; i < sim->phases_count; i++) {
        if (strcmp(sim->phases[i].label, label) == 0) {
            sim->phases[i].calls++;
            return;
        }
    }
    LK_ASSERT(sim->phases_count < SIM_PHASES_MAX);
    struct sim_phase *phase = &sim->phases[sim->phases_count++];
    snprintf(phase->label, sizeof(phase->label), "%s", label);
    phase->calls = 1;
}

static bool
rule_matches(struct lk_io_sim_rule *rule, enum lk_io_call call, const char *path)
{
    if (rule->times == 0 || (rule->call != LK_IO_CALL_ANY && rule->call != call))
        return false;
    if (rule->path_part != NULL && strstr(path, rule->path_part) == NULL)
        return false;
    if (rule->phase != NULL && strcmp(rule->phase, lk_io_phase_now()) != 0)
        return false;
    if (rule->skip > 0) {
        rule->skip--;
        return false;
    }
    rule->times -= rule->times == UINT64_MAX ? 0 : 1;
    return true;
}

void
lk_io_sim_on_call(struct lk_io *io, void (*fn)(void *arg), void *arg)
{
    struct sim *sim = lki_sim_of(io);
    sim->on_call = fn;
    sim->on_call_arg = arg;
}

void
lki_sim_enter(struct sim *sim)
{
    if (sim->on_call != NULL)
        sim->on_call(sim->on_call_arg);
    lk_mutex_lock(&sim->lock);
}

int
lki_sim_begin(struct sim *sim, enum lk_io_call call, const char *path, int *out_action)
{
    *out_action = LKI_SIM_NORMAL;
    sim->clock_ns += 1000;
    if (sim->dead)
        return EIO;
    sim->calls++;
    sim->calls_of[call]++;
    count_phase(sim, lk_io_phase_now());
    if (sim->cut_at != 0 && sim->calls == sim->cut_at) {
        *out_action = LK_IO_SIM_POWER_CUT;
        return 0;
    }
    for (size_t i = 0; i < sim->rules_count; i++) {
        if (!rule_matches(&sim->rules[i], call, path))
            continue;
        *out_action = (int)sim->rules[i].action;
        return *out_action == LK_IO_SIM_EIO ? EIO : *out_action == LK_IO_SIM_ENOSPC ? ENOSPC : 0;
    }
    return 0;
}

int
lki_sim_end(struct sim *sim, int action, int err)
{
    if (action != LK_IO_SIM_POWER_CUT)
        return err;
    lki_sim_cut(sim);
    return EIO;
}

void
lki_sim_cut(struct sim *sim)
{
    /* Most crashes mix; some lose all that may be lost, some nothing. */
    unsigned shape = (unsigned)lk_rand_below(&sim->rand, 6);
    unsigned percent = shape == 0 ? 0 : shape == 1 ? 100 : shape == 2 ? 90 : 50;
    snprintf(sim->cut_phase, sizeof(sim->cut_phase), "%s", lk_io_phase_now());
    sim->cut_ns = sim->clock_ns;
    sim->dead = true;
    lki_sim_crash_names(sim, percent);
    LK_LIST_FOR (&sim->nodes, node, struct sim_node, link)
        lki_sim_node_crash(sim, node, percent);
}

void
lk_io_sim_cut_at(struct lk_io *io, uint64_t call_index)
{
    struct sim *sim = lki_sim_of(io);
    lk_mutex_lock(&sim->lock);
    sim->cut_at = call_index;
    lk_mutex_unlock(&sim->lock);
}

void
lk_io_sim_crash(struct lk_io *io)
{
    struct sim *sim = lki_sim_of(io);
    lk_mutex_lock(&sim->lock);
    if (!sim->dead)
        lki_sim_cut(sim);
    lk_mutex_unlock(&sim->lock);
}

bool
lk_io_sim_is_dead(struct lk_io *io)
{
    struct sim *sim = lki_sim_of(io);
    lk_mutex_lock(&sim->lock);
    bool dead = sim->dead;
    lk_mutex_unlock(&sim->lock);
    return dead;
}

uint64_t
lk_io_sim_cut_ns(struct lk_io *io)
{
    return lki_sim_of(io)->cut_ns;
}

const char *
lk_io_sim_cut_phase(struct lk_io *io)
{
    return lki_sim_of(io)->cut_phase;
}

void
lk_io_sim_restart(struct lk_io *io)
{
    struct sim *sim = lki_sim_of(io);
    lk_mutex_lock(&sim->lock);
    if (!sim->dead)
        lki_sim_cut(sim);
    sim->dead = false;
    sim->epoch++;
    lk_mutex_unlock(&sim->lock);
}

bool
lk_io_sim_lost_write(struct lk_io *io, const char **out_path, uint64_t *out_writes_since)
{
    const struct sim *sim = lki_sim_of(io);
    *out_path = sim->lost_path;
    *out_writes_since = sim->lost_since;
    return sim->lost_path[0] != '\0';
}

uint64_t
lk_io_sim_calls(struct lk_io *io)
{
    return lk_io_sim_calls_of(io, LK_IO_CALL_ANY);
}

uint64_t
lk_io_sim_calls_of(struct lk_io *io, enum lk_io_call call)
{
    struct sim *sim = lki_sim_of(io);
    lk_mutex_lock(&sim->lock);
    uint64_t calls = call == LK_IO_CALL_ANY ? sim->calls : sim->calls_of[call];
    lk_mutex_unlock(&sim->lock);
    return calls;
}

uint64_t
lk_io_sim_calls_in(struct lk_io *io, const char *phase)
{
    struct sim *sim = lki_sim_of(io);
    uint64_t calls = 0;
    lk_mutex_lock(&sim->lock);
    for (size_t i = 0; i < sim->phases_count; i++)
        if (strcmp(sim->phases[i].label, phase) == 0)
            calls = sim->phases[i].calls;
    lk_mutex_unlock(&sim->lock);
    return calls;
}

void
lk_io_sim_set_capacity(struct lk_io *io, uint64_t bytes)
{
    struct sim *sim = lki_sim_of(io);
    lk_mutex_lock(&sim->lock);
    sim->capacity = bytes;
    lk_mutex_unlock(&sim->lock);
}

bool
lk_io_sim_corrupt(struct lk_io *io, const char *path, uint64_t offset, unsigned bit)
{
    struct sim *sim = lki_sim_of(io);
    char *name = lki_sim_path(path);
    lk_mutex_lock(&sim->lock);
    struct sim_node *node = lki_sim_find(sim, name);
    bool there = node != NULL && !node->is_dir && offset < node->bytes;
    if (there) {
        node->data[offset] ^= (uint8_t)(1u << (bit & 7));
        node->disk[offset] ^= (uint8_t)(1u << (bit & 7));
    }
    lk_mutex_unlock(&sim->lock);
    free(name);
    return there;
}

void
lk_io_sim_advance(struct lk_io *io, uint64_t nanoseconds)
{
    struct sim *sim = lki_sim_of(io);
    lk_mutex_lock(&sim->lock);
    sim->clock_ns += nanoseconds;
    lk_mutex_unlock(&sim->lock);
}

uint64_t
lk_io_sim_dirty_sectors(struct lk_io *io)
{
    struct sim *sim = lki_sim_of(io);
    uint64_t count = 0;
    lk_mutex_lock(&sim->lock);
    LK_LIST_FOR (&sim->nodes, node, struct sim_node, link)
        count += lki_sim_node_dirty(node);
    lk_mutex_unlock(&sim->lock);
    return count;
}
