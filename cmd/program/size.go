package program

import (
	"math"
	"strconv"
	"strings"
)

// sizeUnits are the suffixes of sizes, longest first: "MiB" ends in "B", too.
var sizeUnits = []struct {
	name  string
	bytes float64
}{
	{"KiB", 1 << 10},
	{"MiB", 1 << 20},
	{"GiB", 1 << 30},
	{"kB", 1e3},
	{"MB", 1e6},
	{"GB", 1e9},
	{"B", 1},
}

// ParseSize parses a number of bytes with its unit, such as 512MiB or 1.5GiB,
// which is what a flag says; least is the smallest that it takes. Empty is 0,
// which means the default.
func ParseSize(flag, text string, least int64) (int64, error) {
	if text == "" {
		return 0, nil
	}
	hint := "give --" + flag + " a number and its unit, such as 20MiB or 1.5GiB"
	for _, u := range sizeUnits {
		number, ok := strings.CutSuffix(text, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		switch {
		case err != nil || math.IsNaN(n) || n < 0:
			return 0, Usage(hint, "--%s: %q is no size", flag, text)
		case n*u.bytes < float64(least):
			return 0, Usage("give --"+flag+" more, or leave it out", "--%s: %s is less than the least, %d KiB", flag, text, least>>10)
		case n*u.bytes >= 1<<50:
			return 0, Usage(hint, "--%s: %s is more than any machine has", flag, text)
		}
		return int64(n * u.bytes), nil
	}
	return 0, Usage(hint, "--%s: %q has no unit", flag, text)
}
