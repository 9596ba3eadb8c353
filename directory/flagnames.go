package directory

import "strings"

// flagNames are the names of a relay's flags, from the lowest bit on.
var flagNames = [...]string{
	"Guard", "Stable", "Mailbox", "Placement", "Witness", "Cache", "Vouched", "MiddleOnly", "Unmeasured", "Watched",
}

// Names returns the names of the flags that are set, in the order of the bits.
func (f Flags) Names() []string {
	var list []string
	for i, name := range flagNames {
		if f>>i&1 != 0 {
			list = append(list, name)
		}
	}
	return list
}

// String returns the names, or "none".
func (f Flags) String() string {
	if f&allFlags == 0 {
		return "none"
	}
	return strings.Join(f.Names(), " ")
}

// headerFlagNames are the names of a header's flags, from the lowest bit on.
var headerFlagNames = [...]string{"lab", "small", "young", "emergency"}

// Names returns the names of the flags that are set, in the order of the bits.
func (f HeaderFlags) Names() []string {
	var list []string
	for i, name := range headerFlagNames {
		if f>>i&1 != 0 {
			list = append(list, name)
		}
	}
	return list
}
