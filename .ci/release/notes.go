package main

import (
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"
)

// sections are what operators look for in the text of a release, in this order.
var sections = []struct{ name, hint string }{
	{"Breaking", "what stops working, and what to do before and after the upgrade"},
	{"Security", "flaws that were mended: who could do what, since which version"},
	{"Added", "what is new"},
	{"Changed", "what is otherwise than before"},
	{"Fixed", "what works now"},
}

// versions are the names of releases.
var versions = regexp.MustCompile(`^v(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(-[0-9A-Za-z.]+)?$`)

// template returns a text to fill in. Its headings end in a colon, since git takes
// lines that begin with # out of the text of a tag.
func template(version string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "hearsay %s\n\nOne sentence for whoever reads no more than that.\n", version)
	for _, s := range sections {
		fmt.Fprintf(&b, "\n%s:\n\n- <%s; else write: None.>\n", s.name, s.hint)
	}
	return b.String()
}

// checkNotes returns what is wrong with the text of a release.
func checkNotes(text string) error {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	version, ok := strings.CutPrefix(lines[0], "hearsay ")
	if !ok || !versions.MatchString(version) {
		return fmt.Errorf("line 1: %q does not name the release, as in: hearsay v0.1.0", lines[0])
	}
	if len(lines) < 3 || lines[1] != "" || lines[2] == "" || strings.HasSuffix(lines[2], ":") {
		return fmt.Errorf("line 3: say in a sentence what this release is")
	}
	at, filled := -1, true
	for i, line := range lines {
		switch {
		case len(line) > 100:
			return fmt.Errorf("line %d: longer than 100 columns", i+1)
		case strings.HasPrefix(line, "#"):
			return fmt.Errorf("line %d: git takes lines with # out of a tag", i+1)
		case strings.HasPrefix(line, "- <"):
			return fmt.Errorf("line %d: not filled in", i+1)
		}
		heading, ok := strings.CutSuffix(line, ":")
		known := slices.IndexFunc(sections, func(s struct{ name, hint string }) bool { return s.name == heading })
		switch {
		case ok && known >= 0 && !filled:
			return fmt.Errorf("line %d: %s has nothing: write what there is, or None", i+1, sections[at].name)
		case ok && known >= 0 && known != at+1:
			return fmt.Errorf("line %d: %s is not at its place: %s", i+1, heading, names())
		case ok && known >= 0:
			at, filled = known, false
		case at >= 0 && line != "":
			if !filled && !strings.HasPrefix(line, "- ") && line != "None." {
				return fmt.Errorf("line %d: a section is a list, each item after a dash, or None with a full stop", i+1)
			}
			filled = true
		}
	}
	if at != len(sections)-1 || !filled {
		return fmt.Errorf("not all sections are there and filled: %s", names())
	}
	return nil
}

func names() string {
	var all []string
	for _, s := range sections {
		all = append(all, s.name)
	}
	return strings.Join(all, ", ")
}

// checkTag makes sure that a release is an annotated tag with a text for operators,
// which names it.
func checkTag(tag string) error {
	if !versions.MatchString(tag) {
		return fmt.Errorf("%q is no name of a release, such as v0.1.0", tag)
	}
	kind, err := exec.Command("git", "cat-file", "-t", "refs/tags/"+tag).Output()
	if err != nil {
		return fmt.Errorf("there is no tag %s: git tag -s %s -F NOTES", tag, tag)
	}
	if strings.TrimSpace(string(kind)) != "tag" {
		return fmt.Errorf("%s is a light tag: a release has an annotated one, with its notes", tag)
	}
	text, err := exec.Command("git", "tag", "-l", "--format=%(contents:subject)%0a%0a%(contents:body)", tag).Output()
	if err != nil {
		return fmt.Errorf("read tag %s: %w", tag, err)
	}
	if !strings.HasPrefix(string(text), "hearsay "+tag+"\n") {
		return fmt.Errorf("the notes in tag %s are of another version", tag)
	}
	if err := checkNotes(string(text)); err != nil {
		return fmt.Errorf("the notes in tag %s: %w", tag, err)
	}
	return nil
}
