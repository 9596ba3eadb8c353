package circuit

import (
	"testing"

	"pgregory.net/rapid"
)

// TestQueueIsAList compares with a slice.
func TestQueueIsAList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q queue[int]
		var want []int
		for i, op := range rapid.SliceOfN(rapid.IntRange(0, 2), 0, 400).Draw(t, "ops") {
			if op > 0 {
				q.push(i)
				want = append(want, i)
			} else if len(want) > 0 {
				if *q.first() != want[0] || q.pop() != want[0] {
					t.Fatal("out of order")
				}
				want = want[1:]
			}
			if q.n != len(want) {
				t.Fatalf("%d values of %d", q.n, len(want))
			}
			for k, v := range want {
				if *q.at(k) != v {
					t.Fatalf("value %d is %d, not %d", k, *q.at(k), v)
				}
			}
		}
	})
}
