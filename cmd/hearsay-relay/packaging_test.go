package main

import (
	"os"
	"regexp"
	"testing"

	"hearsay/cmd/program/programtest"
)

// TestPackagingUsesWhatIsThere: every command and flag in the unit, the container
// recipe and the manifests exists.
func TestPackagingUsesWhatIsThere(t *testing.T) {
	for file, least := range map[string]int{"hearsay-relay.service": 1, "Containerfile": 1, "compose.yaml": 1, "kubernetes.yaml": 3} {
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

// TestHomesOfContainers: volumes, and directories that a recipe copies, may be read by
// others, whatever their mode was; the program refuses such a home. It makes its own
// one below them.
func TestHomesOfContainers(t *testing.T) {
	home := regexp.MustCompile(`(?:HEARSAY_HOME=|--home"?,? ?"?)(/[a-z/]*)`)
	for file, want := range map[string]int{"Containerfile": 3, "compose.yaml": 4, "kubernetes.yaml": 3} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		found := home.FindAllStringSubmatch(string(text), -1)
		if len(found) != want {
			t.Errorf("%s: %d homes, want %d", file, len(found), want)
		}
		for _, m := range found {
			if m[1] != "/state/relay" && m[1] != "/state/directory" {
				t.Errorf("%s: the home is %s", file, m[1])
			}
		}
	}
}

// TestUnitNamesThePageOfTheManual in its section.
func TestUnitNamesThePageOfTheManual(t *testing.T) {
	unit, err := os.ReadFile("hearsay-relay.service")
	if err != nil {
		t.Fatal(err)
	}
	if err := programtest.UnitManual(root(), string(unit), t.TempDir()); err != nil {
		t.Error(err)
	}
}
