package admission

import (
	"container/heap"
	"time"
)

// An alarm is a ticket or a place, and when to see to it.
type alarm struct {
	at     time.Time
	ticket *Ticket
	place  *place
}

// alarms has the next one first.
type alarms []alarm

func (a *alarms) add(one alarm)   { heap.Push((*byTime)(a), one) }
func (a *alarms) pop() alarm      { return heap.Pop((*byTime)(a)).(alarm) }
func (a alarms) len() int         { return len(a) }
func (a alarms) first() time.Time { return a[0].at }

type byTime []alarm

func (b byTime) Len() int           { return len(b) }
func (b byTime) Less(i, j int) bool { return b[i].at.Before(b[j].at) }
func (b byTime) Swap(i, j int)      { b[i], b[j] = b[j], b[i] }
func (b *byTime) Push(x any)        { *b = append(*b, x.(alarm)) }

func (b *byTime) Pop() any {
	last := len(*b) - 1
	x := (*b)[last]
	(*b)[last] = alarm{}
	*b = (*b)[:last]
	return x
}
