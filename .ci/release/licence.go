package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// licence is a text that a module is under.
type licence struct {
	file string // from the module's root
	id   string // SPDX; empty for notices, which belong to a licence
	text []byte
}

var licenceFiles = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|patents)([-._].*)?$`)

// licences returns the texts in a module's directory, those of code that it carries
// from others too, but not those of pictures. A module without one, and a licence that this does not know, is
// an error: somebody has to read it first.
func licences(dir string) ([]licence, error) {
	var all []licence
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if n := d.Name(); path != dir && (n == "testdata" || n == "vendor" || strings.HasPrefix(n, ".") || !hasCode(path)) {
				return fs.SkipDir
			}
			return nil
		}
		if !licenceFiles.MatchString(d.Name()) || strings.HasSuffix(d.Name(), ".go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		id := identify(text)
		upper := strings.ToUpper(d.Name())
		if id == "" && !strings.HasPrefix(upper, "NOTICE") && !strings.HasPrefix(upper, "PATENTS") {
			return fmt.Errorf("%s: a licence that is not known here: read it, then teach this program", path)
		}
		all = append(all, licence{filepath.ToSlash(rel), id, text})
		return nil
	})
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(all, func(l licence) bool { return l.id != "" }) {
		return nil, fmt.Errorf("%s: no licence", dir)
	}
	slices.SortFunc(all, func(a, b licence) int { return strings.Compare(a.file, b.file) })
	return all, nil
}

// hasCode tells whether Go is written in a directory or below it.
func hasCode(dir string) bool {
	found := errors.New("found")
	return errors.Is(filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(path, ".go") {
			return found
		}
		return err
	}), found)
}

// identify returns the SPDX identifier of a licence text, if it is one of those that
// this program's dependencies have.
func identify(text []byte) string {
	t := strings.ToLower(strings.Join(strings.Fields(string(bytes.ToValidUTF8(text, nil))), " "))
	has := func(s string) bool { return strings.Contains(t, s) }
	switch {
	case has("mozilla public license version 2.0") || has("mozilla public license, version 2.0"):
		return "MPL-2.0"
	case has("apache license version 2.0") || has("apache license, version 2.0"):
		return "Apache-2.0"
	case has("redistribution and use in source and binary forms") && (has("neither the name") || has("names of its contributors may be used")):
		return "BSD-3-Clause"
	case has("redistribution and use in source and binary forms"):
		return "BSD-2-Clause"
	case has("permission is hereby granted, free of charge, to any person obtaining a copy") && has(`the software is provided "as is"`):
		return "MIT"
	case has("permission to use, copy, modify, and/or distribute this software for any purpose"):
		return "ISC"
	}
	return ""
}

// ids returns the identifiers among licences, each once.
func ids(all []licence) []string {
	var out []string
	for _, l := range all {
		if l.id != "" && !slices.Contains(out, l.id) {
			out = append(out, l.id)
		}
	}
	return out
}

// licenceText returns one file with the texts of all modules.
func licenceText(modules []module) []byte {
	var b bytes.Buffer
	b.WriteString("hearsay is built of the modules below. These are their licences, as they lie in them.\n")
	for _, m := range modules {
		for _, l := range m.licences {
			fmt.Fprintf(&b, "\n%s\n%s %s: %s\n%s\n\n", strings.Repeat("=", 80), m.path, m.version, l.file, strings.Repeat("=", 80))
			b.Write(bytes.TrimRight(l.text, "\n"))
			b.WriteString("\n")
		}
	}
	return b.Bytes()
}
