package main

import (
	"strings"
	"testing"
)

const good = `hearsay v0.2.0

Relays take less memory.

Breaking:

None.

Security:

- A relay could be made to close circuits of others, since v0.1.0
  (TestAttackSomething).

Added:

- ` + "`hearsay-relay backup`" + `: note that mailboxes are not in it.

Changed:

None.

Fixed:

- The clock of the status bar.
`

func TestNotesOfARelease(t *testing.T) {
	if err := checkNotes(good); err != nil {
		t.Fatal(err)
	}
	if err := checkNotes(template("v0.2.0")); err == nil || !strings.Contains(err.Error(), "not filled in") {
		t.Errorf("the template passes: %v", err)
	}
	for _, c := range []struct{ from, to, want string }{
		{"hearsay v0.2.0", "v0.2.0", "line 1"},
		{"hearsay v0.2.0", "hearsay 0.2.0", "line 1"},
		{"hearsay v0.2.0", "hearsay v0.02.0", "line 1"},
		{"Relays take less memory.\n", "", "line 3"},
		{"Security:", "Safety:", "not at its place"},
		{"Breaking:\n\nNone.\n", "", "not at its place"},
		{"Fixed:\n\n- The clock of the status bar.\n", "", "not all sections"},
		{"- The clock of the status bar.\n", "", "not all sections"},
		{"Changed:\n\nNone.\n", "Changed:\n", "Changed has nothing"},
		{"Changed:\n\nNone.\n", "Changed:\n\nnothing\n", "is a list"},
		{"Relays take", "# Relays take", "git takes"},
		{"The clock", "The clock" + strings.Repeat(" and the clock", 10), "100 columns"},
	} {
		bad := strings.Replace(good, c.from, c.to, 1)
		if bad == good {
			t.Fatalf("%q is not in the text", c.from)
		}
		if err := checkNotes(bad); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q for %q: %v; want %q", c.to, c.from, err, c.want)
		}
	}
	if err := checkNotes(""); err == nil {
		t.Error("no text passes")
	}
}
