/*
 * base/list.h - intrusive doubly linked lists. A head is a node that points to itself when empty;
 * a node that is in no list may be zero.
 */
#ifndef LK_BASE_LIST_H
#define LK_BASE_LIST_H

#include "base/assert.h"

struct lk_list {
    struct lk_list *next, *prev;
};

static inline void
lk_list_init(struct lk_list *head)
{
    head->next = head->prev = head;
}

static inline bool
lk_list_empty(const struct lk_list *head)
{
    return head->next == head;
}

/* True when the node is in a list (nodes are zeroed when removed). */
static inline bool
lk_list_linked(const struct lk_list *node)
{
    return node->next != NULL;
}

static inline void
lk_list_insert_(struct lk_list *node, struct lk_list *before, struct lk_list *after)
{
    LK_ASSERT_SLOW(!lk_list_linked(node));
    node->prev = before;
    node->next = after;
    before->next = node;
    after->prev = node;
}

static inline void
lk_list_push_back(struct lk_list *head, struct lk_list *node)
{
    lk_list_insert_(node, head->prev, head);
}

static inline void
lk_list_push_front(struct lk_list *head, struct lk_list *node)
{
    lk_list_insert_(node, head, head->next);
}

static inline void
lk_list_remove(struct lk_list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    node->next = node->prev = NULL;
}

/* First node, removed; NULL when empty. */
static inline struct lk_list *
lk_list_pop_front(struct lk_list *head)
{
    if (lk_list_empty(head))
        return NULL;
    struct lk_list *node = head->next;
    lk_list_remove(node);
    return node;
}

/* Moves all of `from` to the end of `to`. */
static inline void
lk_list_splice(struct lk_list *to, struct lk_list *from)
{
    if (lk_list_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    lk_list_init(from);
}

#define LK_LIST_ENTRY(node, type, member) LK_CONTAINER_OF((node), type, member)

/* LK_LIST_FOR(&head, it, struct x, link) { ... } - the body may remove `it`. */
#define LK_LIST_FOR(head, it, type, member)                               \
    for (type *it = LK_LIST_ENTRY((head)->next, type, member),            \
              *it##_next_ = LK_LIST_ENTRY(it->member.next, type, member); \
         &it->member != (head);                                           \
         it = it##_next_, it##_next_ = LK_LIST_ENTRY(it->member.next, type, member))

#endif
