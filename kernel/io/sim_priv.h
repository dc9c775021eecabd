/* io/sim_priv.h - the parts of the simulated disk: nodes with two images, names with two maps. */
#ifndef LK_IO_SIM_PRIV_H
#define LK_IO_SIM_PRIV_H

#include "io/sim.h"

#define SIM_MAGIC      0x73696d64u
#define SIM_PHASES_MAX 64
#define SIM_RULES_MAX  32

/* What a file holds: `data` as programs see it, `disk` as a crash would leave it at the least. */
struct sim_node {
    struct lk_list link; /* of sim.nodes */
    uint32_t refs;       /* names in both maps, pending changes, handles */
    bool is_dir;
    struct lk_file *locked_by;
    uint8_t *data, *disk;
    uint64_t bytes, disk_bytes;
    uint64_t room;   /* of both images, whole sectors */
    uint64_t *dirty; /* bit per sector of room */
    int64_t modified_us;
};

/* One change of names that a crash may keep or lose as a whole. */
struct sim_change {
    struct lk_list link; /* of sim.changes, oldest first */
    char *dir, *dir2;    /* syncing both makes it durable; dir2 NULL: only one */
    char *removed;       /* path that goes; may be NULL */
    char *added;         /* path that comes, or changes its node; may be NULL */
    struct sim_node *node;
};

struct sim_file {
    struct lk_file pub;
    struct sim_node *node;
    uint64_t epoch; /* of the power cycle it was opened in */
    char *name;     /* normalized path */
};

struct sim_phase {
    char label[48];
    uint64_t calls;
};

struct sim {
    struct lk_io io;
    uint32_t magic;
    struct lk_mutex lock;
    struct lk_rand rand;
    struct lk_map live, disk; /* normalized path -> node */
    struct lk_list nodes, changes;
    bool dead;
    uint64_t epoch;
    uint64_t calls, calls_of[LK_IO_CALL_COUNT_];
    struct sim_phase phases[SIM_PHASES_MAX];
    size_t phases_count;
    uint64_t cut_at;
    char cut_phase[48];
    uint64_t cut_ns;
    struct lk_io_sim_rule rules[SIM_RULES_MAX];
    size_t rules_count;
    uint64_t clock_ns;
    uint64_t capacity, used;
    char lost_path[256]; /* of the write that went astray; "": none did */
    uint64_t lost_since;
    void (*on_call)(void *arg); /* NULL: none */
    void *on_call_arg;
};

/* Nothing, or what the rules say. */
enum { LKI_SIM_NORMAL = -1 };

static inline struct sim *
lki_sim_of(struct lk_io *io)
{
    struct sim *sim = (struct sim *)io;
    LK_ASSERT(sim->magic == SIM_MAGIC);
    return sim;
}

/* Takes the lock for a call, having told on_call. */
void lki_sim_enter(struct sim *sim);
/* Counts a call and says how it goes: 0 and *out_action, or the errno it ends with. Lock held. */
int lki_sim_begin(struct sim *sim, enum lk_io_call call, const char *path, int *out_action);
/* Ends a call that went on: performs a pending power cut. */
int lki_sim_end(struct sim *sim, int action, int err);
void lki_sim_cut(struct sim *sim);

/* --- nodes --- */
struct sim_node *lki_sim_node_create(struct sim *sim, bool is_dir);
void lki_sim_node_ref(struct sim_node *node);
void lki_sim_node_unref(struct sim *sim, struct sim_node *node);
bool lki_sim_node_room(struct sim_node *node, uint64_t bytes);
void lki_sim_node_write(struct sim_node *node, uint64_t offset, const void *src, uint64_t bytes);
void lki_sim_node_resize(struct sim *sim, struct sim_node *node, uint64_t bytes);
void lki_sim_node_sync(struct sim_node *node);
void lki_sim_node_forget_dirty(struct sim_node *node);
void lki_sim_node_writeback(struct sim *sim, struct sim_node *node);
/* What the disk keeps of it: about `percent` of the dirty sectors. */
void lki_sim_node_crash(struct sim *sim, struct sim_node *node, unsigned percent);
uint64_t lki_sim_node_dirty(const struct sim_node *node);

/* --- names --- */
char *lki_sim_path(const char *path); /* normalized copy on the heap; NULL: no memory */
char *lki_sim_parent(const char *name);
struct sim_node *lki_sim_find(struct sim *sim, const char *name);
bool lki_sim_is_dir(struct sim *sim, const char *name);
/* Sets (node) or removes (NULL) a name in a map. */
void lki_sim_set_name(struct sim *sim, struct lk_map *map, const char *name, struct sim_node *node);
void lki_sim_change(struct sim *sim, const char *removed, const char *added, struct sim_node *node);
void lki_sim_sync_names(struct sim *sim, const char *dir);
void lki_sim_crash_names(struct sim *sim, unsigned percent);
void lki_sim_names_fini(struct sim *sim);

extern const struct lk_io_ops lki_sim_ops;

#endif
