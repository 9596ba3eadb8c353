package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/adrg/xdg"

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
	if path == "~" || strings.HasPrefix(path, "~/") {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", err
		}
		path = filepath.Join(home, path[1:])
	}
	return filepath.Abs(path)
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
