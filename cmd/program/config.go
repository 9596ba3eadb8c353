package program

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// configVersion is the version of all configuration files.
const configVersion = 1

// ReadConfig reads a configuration file into a struct with toml tags. The file
// says `version = 1`. It fails with a usage error that names the line, and for an
// unknown key the nearest one that there is. A file that this account may not read
// is one as well: no restart mends it. A missing file fails with an error that wraps
// fs.ErrNotExist.
func ReadConfig(file string, into any) error {
	text, err := readSmall(file)
	if err != nil {
		return unreadable(file, err)
	}
	return ParseConfig(file, string(text), into)
}

func unreadable(file string, err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return Usage("let the account that this runs as read it", "%s: permission denied", file)
	}
	return err
}

// ParseConfig is ReadConfig for a text; file is its name for people.
func ParseConfig(file, text string, into any) error {
	meta, err := toml.Decode(text, into)
	var broken toml.ParseError
	switch {
	case errors.As(err, &broken):
		return Usage("see the example in `--help`", "%s, line %d: %s", file, broken.Position.Line, broken.Message)
	case err != nil:
		return Usage("see the example in `--help`", "%s: %s", file, strings.TrimPrefix(err.Error(), "toml: "))
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		key := unknown[0].String()
		known := configKeys(reflect.TypeOf(into).Elem())
		return Usage("did you mean "+nearest(key, known)+"? All keys: "+strings.Join(known, ", "), "%s, line %d: there is no key %q", file, lineOf(text, unknown[0][len(unknown[0])-1]), key)
	}
	var head struct {
		Version int `toml:"version"`
	}
	if _, err := toml.Decode(text, &head); err != nil || head.Version != configVersion {
		return Usage(fmt.Sprintf("begin it with version = %d", configVersion), "%s: not of a version that this program reads", file)
	}
	return nil
}

// configKeys lists the keys of a configuration, but not those of its tables.
func configKeys(t reflect.Type) []string {
	var keys []string
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("toml"), ",")
		if name != "" && name != "-" {
			keys = append(keys, name)
		}
	}
	return keys
}

// nearest returns the key that is the fewest changes away.
func nearest(key string, known []string) string {
	return slices.MinFunc(known, func(a, b string) int { return EditDistance(key, a) - EditDistance(key, b) })
}

// EditDistance counts the letters to insert, delete or replace between two words
// (Levenshtein 1966), for naming what somebody may have meant.
func EditDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// lineOf returns the line on which a key is first set, counted from 1.
func lineOf(text, key string) int {
	for i, l := range strings.Split(text, "\n") {
		name, _, ok := strings.Cut(l, "=")
		if ok && strings.Trim(strings.TrimSpace(name), `"'`) == key {
			return i + 1
		}
		if strings.Trim(strings.TrimSpace(l), "[]") == key {
			return i + 1
		}
	}
	return 1
}

// ConfigFile returns the file to read: the one that is given, or the one of that
// name in the home or the directory that systemd gives, if it is there; else "".
func ConfigFile(given string, places ...string) (string, error) {
	if given != "" {
		return given, nil
	}
	for _, p := range places {
		if p == "" {
			continue
		}
		switch _, err := os.Stat(p); {
		case err == nil:
			return p, nil
		case !errors.Is(err, os.ErrNotExist):
			return "", err
		}
	}
	return "", nil
}
