package cmd_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestReadmeLeadsSomewhere follows what the README points at within the tree:
// headings, files, and recipes of the Justfile.
func TestReadmeLeadsSomewhere(t *testing.T) {
	b, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	recipes, err := os.ReadFile("../Justfile")
	if err != nil {
		t.Fatal(err)
	}
	headings := map[string]bool{}
	var prose []string
	for i, block := range strings.Split(string(b), "\n```") {
		if i%2 == 1 {
			continue // code
		}
		prose = append(prose, block)
		for _, line := range strings.Split(block, "\n") {
			if title := strings.TrimLeft(line, "#"); title != line && strings.HasPrefix(title, " ") {
				headings[slug(title[1:])] = true
			}
		}
	}
	text := strings.Join(prose, "\n")
	links := regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllStringSubmatch(text, -1)
	if len(links) < 20 {
		t.Fatalf("%d links", len(links))
	}
	for _, m := range links {
		switch to, anchor, isAnchor := strings.Cut(m[1], "#"); {
		case strings.HasPrefix(m[1], "https://"):
		case to == "" && isAnchor:
			if !headings[anchor] {
				t.Errorf("no heading is #%s", anchor)
			}
		default:
			if _, err := os.Stat(filepath.Join("..", filepath.FromSlash(to))); err != nil {
				t.Errorf("%s is not there", to)
			}
		}
	}
	for _, m := range regexp.MustCompile("`just\\s+([a-z][a-z0-9-]*)").FindAllStringSubmatch(text, -1) {
		if !regexp.MustCompile(`(?m)^` + m[1] + `( [^:\n]*)?:`).Match(recipes) {
			t.Errorf("the Justfile has no recipe %s", m[1])
		}
	}
}

// slug is the anchor of a heading, as sites that show Markdown make it.
func slug(title string) string {
	title = strings.ToLower(regexp.MustCompile(`\[([^]]*)\]\([^)]*\)`).ReplaceAllString(title, "$1"))
	return strings.ReplaceAll(regexp.MustCompile(`[^\p{L}\p{N}\s_-]`).ReplaceAllString(title, ""), " ", "-")
}
