package main

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// captureBlock is where the README shows a screen that the end-to-end test saw.
var captureBlock = regexp.MustCompile("(?s)<!-- screen: ([a-z-]+) -->\n```\n.*?\n```\n")

// withCaptures returns the README with the screens of testdata/captures in it.
func withCaptures(t *testing.T, readme []byte) []byte {
	t.Helper()
	return captureBlock.ReplaceAllFunc(readme, func(block []byte) []byte {
		name := string(captureBlock.FindSubmatch(block)[1])
		screen, err := os.ReadFile(filepath.Join("testdata", "captures", name+".txt"))
		if err != nil {
			t.Fatal(err)
		}
		return []byte("<!-- screen: " + name + " -->\n```\n" + string(screen) + "```\n")
	})
}

// TestReadmeShowsCaptures checks that the screens in the README are those that
// `just e2e -captures` recorded.
func TestReadmeShowsCaptures(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if n := len(captureBlock.FindAll(readme, -1)); n < 2 {
		t.Errorf("%d screens in the README", n)
	}
	if string(withCaptures(t, readme)) != string(readme) {
		t.Error("the README shows other screens than testdata/captures: just e2e -captures writes both")
	}
}
