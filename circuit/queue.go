package circuit

// queue is a first-in-first-out queue that allocates only when it grows. The
// zero value is ready. Whoever pushes bounds it.
type queue[T any] struct {
	list  []T // its length is a power of two
	start int
	n     int
}

// queueKept is the memory that an empty queue keeps, in values.
const queueKept = 64

func (q *queue[T]) push(v T) {
	if q.n == len(q.list) {
		grown := make([]T, max(8, 2*len(q.list)))
		k := copy(grown, q.list[q.start:])
		copy(grown[k:], q.list[:q.start])
		q.list, q.start = grown, 0
	}
	q.list[(q.start+q.n)&(len(q.list)-1)] = v
	q.n++
}

// first returns the oldest value; there must be one. The pointer is good until
// the next push or pop.
func (q *queue[T]) first() *T { return &q.list[q.start] }

// at returns the value behind i others.
func (q *queue[T]) at(i int) *T { return &q.list[(q.start+i)&(len(q.list)-1)] }

// pop removes the oldest value and returns it; there must be one.
func (q *queue[T]) pop() T {
	var none T
	v := q.list[q.start]
	q.list[q.start] = none
	q.start = (q.start + 1) & (len(q.list) - 1)
	if q.n--; q.n == 0 && len(q.list) > queueKept {
		q.list, q.start = nil, 0
	}
	return v
}
