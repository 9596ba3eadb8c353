package main

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"hearsay/cmd/program"
	"hearsay/cmd/program/programtest"
	"hearsay/relay"
)

// TestPackagingUsesWhatIsThere: every command and flag in the unit and in the file
// for a small network exists.
func TestPackagingUsesWhatIsThere(t *testing.T) {
	for file, least := range map[string]int{"hearsay-directory.service": 1, "../hearsay-relay/compose.yaml": 2} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		problems, count := programtest.Unknown(root(), string(text))
		for _, p := range problems {
			t.Errorf("%s: %s", file, p)
		}
		if count < least {
			t.Errorf("%s: %d command lines were found, want %d", file, count, least)
		}
	}
}

// TestNetworkOfComposeIsFounded runs what the file for a small network founds it with,
// twice, as every start does: the home can be served afterwards, and relays are shown
// the link but not the home, whose keys are the network.
func TestNetworkOfComposeIsFounded(t *testing.T) {
	b, err := os.ReadFile("../hearsay-relay/compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^    entrypoint: (\["/hearsay-directory", "init".*\])$`).FindSubmatch(b)
	if line == nil {
		t.Fatal("nothing founds a network")
	}
	var args []string
	if err := json.Unmarshal(line[1], &args); err != nil {
		t.Fatal(err)
	}
	at := t.TempDir()
	for _, dir := range []string{"state", "link"} { // as the image has them
		if err := os.Mkdir(filepath.Join(at, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	home, link := "", ""
	for i, a := range args {
		if strings.HasPrefix(a, "/") {
			args[i] = at + a
		}
		switch a {
		case "--home":
			home = at + args[i+1]
		case "--link-file":
			link = at + args[i+1]
		}
	}
	for range 2 {
		cmd := root()
		cmd.SetArgs(args[1:])
		cmd.SetOut(io.Discard)
		cmd.SetErr(io.Discard)
		if err := cmd.Execute(); err != nil {
			t.Fatal(err)
		}
	}
	chain, err := relay.FounderChain(home)
	if err != nil {
		t.Fatal(err)
	}
	if l, err := program.ReadLink(link); err != nil || l.ID != chain.ID() {
		t.Errorf("the link is of %v, the home of %v: %v", l.ID, chain.ID(), err)
	}
	if n := strings.Count(string(b), "directory:/"); n != 2 {
		t.Errorf("%d services have the volume with the keys of the network, want the two of the directory", n)
	}
}

// TestUnitNamesThePageOfTheManual in its section.
func TestUnitNamesThePageOfTheManual(t *testing.T) {
	unit, err := os.ReadFile("hearsay-directory.service")
	if err != nil {
		t.Fatal(err)
	}
	if err := programtest.UnitManual(root(), string(unit), t.TempDir()); err != nil {
		t.Error(err)
	}
}
