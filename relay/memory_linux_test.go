package relay

import (
	"testing"
	"testing/fstest"
)

// TestMemoryOfControlGroups: the limit of a unit or a container counts, wherever it
// is set.
func TestMemoryOfControlGroups(t *testing.T) {
	const unit = "system.slice/hearsay-relay.service"
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s + "\n")} }
	for name, c := range map[string]struct {
		sys    fstest.MapFS
		groups string
		want   int64
	}{
		"nothing is known":      {fstest.MapFS{}, "", 0},
		"a container's root":    {fstest.MapFS{"memory.max": file("700000000")}, "0::/\n", 700000000},
		"no limit":              {fstest.MapFS{unit + "/memory.max": file("max")}, "0::/" + unit + "\n", 0},
		"the unit's":            {fstest.MapFS{unit + "/memory.max": file("536870912")}, "0::/" + unit + "\n", 536870912},
		"the slice's is less":   {fstest.MapFS{"system.slice/memory.max": file("1000"), unit + "/memory.max": file("2000")}, "0::/" + unit + "\n", 1000},
		"another unit's is not": {fstest.MapFS{"system.slice/other.service/memory.max": file("1000")}, "0::/" + unit + "\n", 0},
		"first version":         {fstest.MapFS{"memory/docker/1a/memory.limit_in_bytes": file("3000")}, "5:cpu:/x\n4:memory:/docker/1a\n0::/\n", 3000},
		"outside of what shows": {fstest.MapFS{"memory.max": file("4000")}, "0::/../other\nnonsense\n", 4000},
		"no number":             {fstest.MapFS{"memory.max": file("-1")}, "0::/\n", 0},
	} {
		if got := groupMemory(c.sys, c.groups); got != c.want {
			t.Errorf("%s: %d bytes, want %d", name, got, c.want)
		}
	}
}
