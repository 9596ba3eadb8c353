package main

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// file is one in an archive.
type file struct {
	name     string
	mode     int64
	contents []byte
}

// sorted returns files in the order of their names, and fails if a name is there
// twice, is also that of a directory, or leads elsewhere.
func sorted(files []file) ([]file, error) {
	all := slices.Clone(files)
	slices.SortFunc(all, func(a, b file) int { return strings.Compare(a.name, b.name) })
	names := map[string]bool{}
	for _, f := range all {
		if !fs.ValidPath(f.name) || names[f.name] {
			return nil, fmt.Errorf("archive: %q is no name, or there twice", f.name)
		}
		names[f.name] = true
	}
	for _, f := range all {
		for dir := path.Dir(f.name); dir != "."; dir = path.Dir(dir) {
			if names[dir] {
				return nil, fmt.Errorf("archive: %q is a file and a directory", dir)
			}
		}
	}
	return all, nil
}

// tar writes files with nothing of this computer in it: sorted, of nobody, all of
// the commit's time.
func (e *env) tar(name string, files []file) (err error) {
	if files, err = sorted(files); err != nil {
		return err
	}
	return create(name, func(f *os.File) error {
		z, err := gzip.NewWriterLevel(f, gzip.BestCompression)
		if err != nil {
			return err
		}
		t := tar.NewWriter(z)
		for _, f := range files {
			if err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: f.name, Mode: f.mode, Size: int64(len(f.contents)), ModTime: e.when}); err != nil {
				return err
			}
			if _, err := t.Write(f.contents); err != nil {
				return err
			}
		}
		if err := t.Close(); err != nil {
			return err
		}
		return z.Close()
	})
}

// zip does the same for Windows.
func (e *env) zip(name string, files []file) (err error) {
	if files, err = sorted(files); err != nil {
		return err
	}
	return create(name, func(f *os.File) error {
		z := zip.NewWriter(f)
		for _, f := range files {
			h := &zip.FileHeader{Name: f.name, Method: zip.Deflate, Modified: e.when}
			h.SetMode(fs.FileMode(f.mode))
			w, err := z.CreateHeader(h)
			if err != nil {
				return err
			}
			if _, err := w.Write(f.contents); err != nil {
				return err
			}
		}
		return z.Close()
	})
}

func create(name string, write func(*os.File) error) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	if err := write(f); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// readTree returns the regular files below dir, under another name for it.
func readTree(dir, base string) ([]file, error) {
	var all []file
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if !d.Type().IsRegular() {
			return fmt.Errorf("%s is no regular file", path)
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		mode := int64(0o644)
		if info.Mode()&0o100 != 0 {
			mode = 0o755
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		all = append(all, file{base + "/" + filepath.ToSlash(rel), mode, b})
		return nil
	})
	return all, err
}
