// list.h: a list whose links stand in its members, for what must be found, moved
// and taken out without a search.
//
// Used by the reverse names' cache and by the queries that wait.  A list is a
// ring with its head in it; a node in no list is zero.  Nothing is allocated.
#ifndef POPGATE_POLICY_LIST_H
#define POPGATE_POLICY_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *next;
	struct list *previous;
};

// What the node is a member of.
#define LIST_OWNER(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

static inline void list_init(struct list *head)
{
	head->next = head->previous = head;
}

static inline bool list_is_empty(const struct list *head)
{
	return head->next == head;
}

static inline void list_add_last(struct list *head, struct list *node)
{
	node->next = head;
	node->previous = head->previous;
	node->previous->next = node;
	head->previous = node;
}

static inline void list_add_first(struct list *head, struct list *node)
{
	list_add_last(head->next, node);
}

// Nothing happens to a node in no list.
static inline void list_remove(struct list *node)
{
	if (!node->next)
		return;
	node->previous->next = node->next;
	node->next->previous = node->previous;
	node->next = node->previous = NULL;
}

// Of a list that is not empty.
static inline struct list *list_take_first(struct list *head)
{
	struct list *first = head->next;
	head->next = first->next;
	head->next->previous = head;
	first->next = first->previous = NULL;
	return first;
}

static inline void list_move_first(struct list *head, struct list *node)
{
	list_remove(node);
	list_add_first(head, node);
}

static inline void list_move_last(struct list *head, struct list *node)
{
	list_remove(node);
	list_add_last(head, node);
}

#endif
