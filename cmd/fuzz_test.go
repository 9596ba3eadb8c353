package cmd_test

import (
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// fuzzed names the targets of each input that comes from others. Those marked with
// an asterisk turn bytes into operations on something that lives.
var fuzzed = map[string][]string{
	"cell":                       {"circuit/cell FuzzParseCell", "circuit/cell FuzzParseMessage"},
	"hello of a link":            {"circuit/cell FuzzParseHello", "circuit/link FuzzControl*"},
	"handshake of a hop":         {"circuit/onion FuzzRespond", "circuit/onion FuzzFinish", "circuit/onion FuzzLayers*"},
	"command to a relay":         {"relay FuzzRelayCircuit*", "circuit FuzzClientCircuit*"},
	"command of a mailbox":       {"relay/mailbox FuzzSession*", "chat FuzzMailboxClient*"},
	"block and session":          {"chat/session FuzzSession*", "chat/session FuzzOpenBlock"},
	"request and reset":          {"chat/session FuzzRequest", "chat/session FuzzReset"},
	"reassembly of fragments":    {"chat/session FuzzReassembly*", "chat/session FuzzParseFrame", "circuit/cell FuzzAssemble*"},
	"text of a link":             {"chat/session FuzzParseLink"},
	"descriptor":                 {"directory FuzzParseDescriptor", "directory FuzzParseRecord"},
	"snapshot and difference":    {"directory FuzzParseSnapshot", "directory FuzzApplyDiff"},
	"session of gossip":          {"directory/gossip FuzzGossipSession*"},
	"row of a store, and backup": {"chat/store FuzzParseRow", "chat/store FuzzStoredRow", "chat FuzzReadBackup", "chat FuzzRestoredRow"},
	"text on the screen":         {"tui FuzzRenderer*", "tui FuzzKeys*", "chat FuzzSanitize"},
}

// TestFuzzTargets checks that each of these targets exists, with seeds in the tree
// beside those in its code: what fuzzing found once runs with every change.
func TestFuzzTargets(t *testing.T) {
	if len(fuzzed) < 14 {
		t.Errorf("%d inputs", len(fuzzed))
	}
	src := sources(t)
	target := regexp.MustCompile(`(?m)^func (Fuzz\w+)\(`)
	exist := map[string]bool{}
	for file, text := range src {
		for _, m := range target.FindAllStringSubmatch(text, -1) {
			exist[path.Dir(file)+" "+m[1]] = true
		}
	}
	if len(exist) < 100 {
		t.Errorf("%d targets: the search is broken", len(exist))
	}
	for input, targets := range fuzzed {
		for _, name := range targets {
			name = strings.TrimSuffix(name, "*")
			if !exist[name] {
				t.Errorf("%s: there is no %s", input, name)
				continue
			}
			dir, fuzz, _ := strings.Cut(name, " ")
			seeds, err := os.ReadDir(path.Join("..", dir, "testdata", "fuzz", fuzz))
			if err != nil || len(seeds) == 0 {
				t.Errorf("%s: %s has no seeds in its testdata", input, name)
			}
		}
	}
	// What a directory of seeds is named after exists, or nobody runs it.
	for file := range src {
		dir := path.Dir(file)
		seeds, err := os.ReadDir(path.Join("..", dir, "testdata", "fuzz"))
		if err != nil {
			continue
		}
		for _, s := range seeds {
			if !exist[dir+" "+s.Name()] {
				t.Errorf("%s/testdata/fuzz has seeds of %s, which does not exist", dir, s.Name())
			}
		}
	}
	recipe, err := os.ReadFile("../Justfile")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(strings.Split(string(recipe), "\n"), func(l string) bool { return strings.HasPrefix(l, "fuzz TIME=") }) {
		t.Error("the Justfile has no recipe that fuzzes")
	}
}
