package directory

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
)

// TestAttackManyNamesFillATable declares 300 kinds of software, one relay each:
// what many relays run stays in the table.
func TestAttackManyNamesFillATable(t *testing.T) {
	var list []string
	for i := range 300 {
		list = append(list, fmt.Sprintf("a%03d", i))
	}
	for range 5 {
		list = append(list, "hearsay 0.1", "hearsay 0.2")
	}
	got := mostFrequent(list, maxTableByte, cmp.Compare[string])
	if len(got) != maxTableByte || !slices.IsSorted(got) || !slices.Contains(got, "hearsay 0.1") || !slices.Contains(got, "hearsay 0.2") {
		t.Fatalf("%d names: %v", len(got), got)
	}
	if got[0] != "a000" || got[252] != "a252" {
		t.Errorf("of equally frequent names the lowest stay: %v", got)
	}
	if got := mostFrequent([]int{3, 1, 3, 2}, 10, cmp.Compare[int]); !slices.Equal(got, []int{1, 2, 3}) {
		t.Error(got)
	}
	if mostFrequent(nil, 10, cmp.Compare[int]) != nil {
		t.Error("an empty table")
	}
}
