package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"hearsay/chat"
	"hearsay/tui"
)

// configHead is written above a configuration that did not exist.
const configHead = "# Written by hearsay; see `hearsay --help`. Comments and order are kept.\nversion = 1\n"

// configWriter writes preferences that changed to a configuration, and leaves
// everything else in it as it is, comments included. Safe for concurrent use.
type configWriter struct {
	file string

	mu    sync.Mutex
	saved tui.Preferences // what is in force without the next change
}

// save writes what differs from the last saving, and returns the file's name.
func (w *configWriter) save(p tui.Preferences) (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	old, err := readConfig(w.file)
	isNew := errors.Is(err, fs.ErrNotExist)
	if err != nil && !isNew {
		return "", writeFailed(err)
	}
	if isNew {
		old = []byte(configHead)
	}
	text := string(old)
	before, after := preferenceTexts(w.saved), preferenceTexts(p)
	for _, key := range configKeys {
		if after[key] != before[key] {
			text = replaceValue(text, key, after[key])
		}
	}
	// What was written must be read as it was meant, or nothing is.
	check := config{prefs: tui.DefaultPreferences()}
	if err := check.parse([]byte(text)); err != nil {
		return "", &chat.Error{Kind: chat.KindRefused, Text: "the configuration cannot be changed as it stands: " + err.Error(), Hint: "change it by hand"}
	}
	for key, value := range preferenceTexts(check.prefs) {
		if value != after[key] && after[key] != before[key] {
			return "", &chat.Error{Kind: chat.KindRefused, Text: "the configuration holds " + key + " in a way that only a person can change", Hint: "change it by hand"}
		}
	}
	if err := os.MkdirAll(filepath.Dir(w.file), 0o700); err != nil {
		return "", writeFailed(err)
	}
	if err := replaceFile(w.file, []byte(text)); err != nil {
		return "", writeFailed(err)
	}
	w.saved = p
	return w.file, nil
}

func writeFailed(err error) error {
	return &chat.Error{Kind: chat.KindIO, Text: "cannot write the configuration: " + err.Error(), Hint: "look at the directory's owner and mode"}
}

// preferenceTexts returns the values of preferences as TOML.
func preferenceTexts(p tui.Preferences) map[string]string {
	return map[string]string{
		"lock_after":     strconv.Quote(formatTime(p.LockAfter)),
		"notify":         strconv.Quote(p.Notify),
		"notify_content": strconv.FormatBool(p.NotifyContent),
		"path_in_bar":    strconv.Quote(p.PathInBar),
		"theme":          strconv.Quote(p.Theme),
		"ascii":          strconv.FormatBool(p.ASCII),
		"mouse":          strconv.FormatBool(p.Mouse),
		"reduced_motion": strconv.FormatBool(p.ReducedMotion),
		"delete_after":   strconv.Quote(formatTime(p.DeleteAfter)),
	}
}

// oneValue is a value of one line, and what stands behind it.
var oneValue = regexp.MustCompile(`^("[^"]*"|'[^']*'|[^\s#"'\[{]+)(\s*(#.*)?)$`)

// replaceValue sets a key of the top of a TOML text: in its line, or in a new one
// before the first table.
func replaceValue(text, key, value string) string {
	lines := strings.Split(text, "\n")
	end := len(lines)
	for i, line := range lines {
		if tableLine.MatchString(line) {
			end = i
			break
		}
		m := assignment.FindStringSubmatch(strings.TrimSuffix(line, "\r"))
		if m == nil || m[2] != key {
			continue
		}
		if v := oneValue.FindStringSubmatch(m[4]); v != nil {
			lines[i] = m[1] + m[2] + m[3] + value + v[2]
		}
		return strings.Join(lines, "\n")
	}
	for end > 0 && strings.TrimSpace(lines[end-1]) == "" {
		end--
	}
	return strings.Join(slices.Insert(lines, end, key+" = "+value), "\n")
}

// replaceFile writes a file whole or not at all, for this account alone.
func replaceFile(name string, b []byte) (err error) {
	if target, e := filepath.EvalSymlinks(name); e == nil {
		name = target // a configuration may lie elsewhere
	}
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = f.Write(b)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return os.Rename(f.Name(), name)
}
