package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/adrg/xdg"

	"hearsay/chat"
	"hearsay/tui"
)

// localFile looks at a file that a person named: with ~ for their directory, and in
// the quotes or with the escaped blanks that terminals put around what is dropped
// on them.
func localFile(path string) (tui.LocalFile, error) {
	path, err := localPath(path)
	if err != nil {
		return tui.LocalFile{}, err
	}
	l := tui.LocalFile{Path: path}
	st, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if dir, e := os.Stat(filepath.Dir(path)); e == nil && dir.IsDir() {
			l.InDirectory = true
		}
		return l, nil
	case err != nil:
		var e *fs.PathError
		if errors.As(err, &e) {
			err = e.Err // the path is known to who typed it
		}
		return l, err
	}
	l.Exists, l.InDirectory, l.Directory, l.Regular = true, true, st.IsDir(), st.Mode().IsRegular()
	if l.Regular {
		l.Size = st.Size()
	}
	return l, nil
}

// localPath is the absolute path of what a person named.
func localPath(path string) (string, error) {
	if n := len(path); n >= 2 && (path[0] == '\'' || path[0] == '"') && path[n-1] == path[0] {
		path = path[1 : n-1]
	} else if _, err := os.Lstat(path); err != nil && filepath.Separator == '/' && strings.Contains(path, `\ `) {
		path = strings.ReplaceAll(path, `\ `, " ")
	}
	path, err := expandHome(path)
	if err != nil {
		return "", err
	}
	return filepath.Abs(path)
}

// expandHome puts the person's directory in the place of ~.
func expandHome(path string) (string, error) {
	if path != "~" && !strings.HasPrefix(path, "~/") {
		return path, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", err
	}
	return home + path[1:], nil
}

// maxCompletions bounds what is proposed: nobody reads more.
const maxCompletions = 100

// completePath lists the files whose names begin with what was typed, directories
// with a slash behind them. Hidden ones are listed once their dot is typed.
func completePath(typed string) []string {
	if typed == "~" {
		return []string{"~/"}
	}
	dir, begin := filepath.Split(typed)
	from, err := expandHome(dir)
	if err != nil {
		return nil
	}
	if from == "" {
		from = "."
	}
	list, err := os.ReadDir(from)
	if err != nil {
		return nil
	}
	var found []string
	for _, e := range list {
		name := e.Name()
		if !strings.HasPrefix(name, begin) || strings.HasPrefix(name, ".") && begin == "" || name != chat.Sanitize(name) {
			continue // what holds control characters is not put on a screen
		}
		if st, err := os.Stat(filepath.Join(from, name)); err == nil && st.IsDir() {
			name += "/"
		}
		if found = append(found, dir+name); len(found) == maxCompletions {
			break
		}
	}
	return found
}

// saveDir is the directory that is proposed for saving files: that for downloads,
// if there is one, else the working directory.
func saveDir() string {
	if st, err := os.Stat(xdg.UserDirs.Download); err == nil && st.IsDir() {
		return xdg.UserDirs.Download
	}
	if dir, err := os.Getwd(); err == nil {
		return dir
	}
	return ""
}
