package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// step is a command that the README shows, with the output that it shows.
type step struct {
	line   string
	args   []string
	output []string
}

// readmeSteps returns the commands of this program in a section of the README.
func readmeSteps(t *testing.T, section string) []step {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, text, found := strings.Cut(string(b), "\n## "+section+"\n")
	if !found {
		t.Fatalf("the README has no section %q", section)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	var steps []step
	fenced, ours := false, false
	for _, line := range strings.Split(text, "\n") {
		switch {
		case strings.HasPrefix(line, "```"):
			fenced, ours = !fenced, false
		case !fenced:
		case strings.HasPrefix(line, "$ "):
			command, _, _ := strings.Cut(strings.TrimPrefix(line, "$ "), "#")
			args := strings.Fields(command)
			if ours = args[0] == name; ours {
				steps = append(steps, step{line: line, args: args[1:]})
			}
		case ours:
			s := &steps[len(steps)-1]
			s.output = append(s.output, line)
		}
	}
	return steps
}

// changing is what differs from run to run: keys, links, dates, numbers, words.
var changing = regexp.MustCompile(`HEARSAY-[A-Z]+:[A-Z2-7]+|\b[0-9a-f]{16,32}\b|\b[a-z2-7]{52}\b|\b[a-z2-7]{16}\b|\b[0-9]+ [a-z]+( +|$)|[0-9]+`)

func alike(line string) string {
	return strings.Join(strings.Fields(changing.ReplaceAllString(line, " # ")), " ")
}

// prompts are lines that only a terminal shows.
var prompts = regexp.MustCompile(`^(passphrase .*: ?|again: ?|…|.* Type yes to sign: yes|)$`)

// TestReadmeFoundsANetwork follows "Found your own network" in the README, command
// by command, in a lab network, whose root keys need no passphrase, and compares
// what is printed with what the README shows, keys, words and dates aside.
func TestReadmeFoundsANetwork(t *testing.T) {
	steps := readmeSteps(t, "Found your own network")
	t.Chdir(t.TempDir())
	run := func(args ...string) string {
		t.Helper()
		var out bytes.Buffer
		cmd := root()
		cmd.SetArgs(args)
		cmd.SetOut(&out)
		cmd.SetErr(&bytes.Buffer{})
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		if err := cmd.Execute(); err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		return out.String()
	}
	// What the README says in words: each founder does so.
	others := map[string][][]string{
		"founder sign network-1.draft --home anna": {
			{"founder", "sign", "network-1.draft", "--home", "ben", "--yes", "--json"},
			{"founder", "sign", "network-1.draft", "--home", "carl", "--yes", "--json"},
		},
		"founder assemble network-1.draft --home anna": {
			{"founder", "assemble", "network-1.draft", "--home", "ben"},
			{"founder", "assemble", "network-1.draft", "--home", "carl"},
		},
		"founder card --home anna": {
			{"founder", "card", "--home", "ben", "--label", "ben", "--lab", "--listen", "192.9.201.7:4443", "--out", "ben.card"},
			{"founder", "card", "--home", "carl", "--label", "carl", "--lab", "--out", "carl.card"},
			{"founder", "card", "--home", "dora", "--label", "dora", "--lab", "--listen", "133.66.1.4:4443", "--out", "dora.card"},
		},
	}
	done := map[string]bool{}
	for _, s := range steps {
		text := strings.Join(s.args, " ")
		if done[s.args[0]+" "+s.args[min(1, len(s.args)-1)]] = true; s.args[0] == "run" {
			continue // it serves until it is told to stop
		}
		args := slices.Clone(s.args)
		switch s.args[0] + " " + s.args[min(1, len(s.args)-1)] {
		case "init --name":
			args = append(args, "--lab")
		case "founder card", "founder draft":
			args = append(args, "--lab")
		case "founder sign":
			args = append(args, "--yes", "--json") // it asks a terminal
			s.output = nil
		case "founder emergency":
			continue // it goes on from what a directory holds: TestScripts/emergency
		}
		out := strings.Split(run(args...), "\n")
		at := 0
		for _, want := range s.output {
			if prompts.MatchString(want) {
				continue
			}
			want, short := strings.CutSuffix(want, "…")
			for ; at < len(out); at++ {
				if got := alike(out[at]); got == alike(want) || short && strings.HasPrefix(got, alike(want)) {
					break
				}
			}
			if at == len(out) {
				t.Errorf("%s: the README shows %q; it printed:\n%s", s.line, want, strings.Join(out, "\n"))
				break
			}
			at++
		}
		for prefix, more := range others {
			if strings.HasPrefix(text, prefix) {
				for _, args := range more {
					run(args...)
				}
			}
		}
	}
	for _, must := range []string{"init --name", "founder card", "founder draft", "founder sign", "founder assemble", "founder amend", "founder emergency", "rotate --home", "token --uses"} {
		if !done[must] {
			t.Errorf("the README does not show %q", must)
		}
	}
}
