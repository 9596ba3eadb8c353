package main

import (
	"crypto/sha256"
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// build makes a release of a revision in dir, which must be empty or not be there.
// With a cache, nothing that was compiled before is used.
func build(revision, dir string, targets []string, cache string) error {
	if old, err := os.ReadDir(dir); err == nil && len(old) > 0 {
		return fmt.Errorf("%s is not empty", dir)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "hearsay-release-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	e, err := clone(revision, filepath.Join(work, "hearsay"), cache)
	if err != nil {
		return err
	}
	host, err := e.compile(runtime.GOOS+"/"+runtime.GOARCH, filepath.Join(work, "host"))
	if err != nil {
		return err
	}
	info, err := buildinfo.ReadFile(filepath.Join(work, "host", host[0].name))
	if err != nil {
		return err
	}
	if e.version = info.Main.Version; versions.MatchString(revision) && e.version != revision {
		return fmt.Errorf("programs call themselves %s in %s", e.version, revision)
	}
	if strings.Contains(e.version, "dirty") || e.version == "" || e.version == "(devel)" {
		return fmt.Errorf("programs call themselves %q: the clone is not as committed", e.version)
	}
	extra, err := e.extras(filepath.Join(work, "host"), filepath.Join(work, "man"))
	if err != nil {
		return err
	}
	var programs []built
	for _, target := range targets {
		began := time.Now()
		all, err := e.platform(target, filepath.Join(work, "out"), dir, extra)
		if err != nil {
			return fmt.Errorf("%s: %w", target, err)
		}
		programs = append(programs, all...)
		fmt.Printf("%-15s built in %s\n", target, time.Since(began).Round(time.Second))
	}
	if err := e.source(dir); err != nil {
		return fmt.Errorf("source archive: %w", err)
	}
	if err := e.provenance(dir, info.GoVersion, programs); err != nil {
		return fmt.Errorf("provenance: %w", err)
	}
	return sums(dir)
}

// buildCommand is what go is told for each program.
var buildCommand = []string{"build", "-trimpath", "-buildvcs=true", "-ldflags=-s -w -buildid="}

// compile builds the programs of a platform into out and tells what is in them.
func (e *env) compile(target, out string) ([]built, error) {
	goos, goarch, _ := strings.Cut(target, "/")
	var all []built
	for _, name := range programs {
		file := filepath.Join(out, name)
		if goos == "windows" {
			file += ".exe"
		}
		if _, err := e.with([]string{"GOOS=" + goos, "GOARCH=" + goarch}, "go", append(buildCommand, "-o", file, "./cmd/"+name)...); err != nil {
			return nil, err
		}
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		modules, err := linked(file)
		if err != nil {
			return nil, err
		}
		all = append(all, built{target, filepath.Base(file), fmt.Sprintf("%x", sha256.Sum256(b)), modules})
	}
	return all, nil
}

// platform builds the programs of one platform and writes archive and list of parts.
func (e *env) platform(target, out, dir string, extra []file) ([]built, error) {
	defer os.RemoveAll(out)
	all, err := e.compile(target, out)
	if err != nil {
		return nil, err
	}
	var together []module
	for i := range all {
		if err := withLicences(e, all[i].modules); err != nil {
			return nil, err
		}
		for _, m := range all[i].modules {
			if !slices.ContainsFunc(together, func(o module) bool { return o.path == m.path }) {
				together = append(together, m)
			}
		}
	}
	slices.SortFunc(together, func(a, b module) int { return strings.Compare(a.path, b.path) })
	goos, goarch, _ := strings.Cut(target, "/")
	base := fmt.Sprintf("hearsay_%s_%s_%s", e.version, goos, goarch)
	files := []file{{base + "/licences.txt", 0o644, licenceText(together)}}
	for _, b := range all {
		contents, err := os.ReadFile(filepath.Join(out, b.name))
		if err != nil {
			return nil, err
		}
		files = append(files, file{base + "/bin/" + b.name, 0o755, contents})
	}
	for _, f := range extra {
		if goos != "linux" && (strings.HasPrefix(f.name, "systemd/") || strings.HasPrefix(f.name, "containers/")) {
			continue
		}
		f.name = base + "/" + f.name
		files = append(files, f)
	}
	bom, err := sbom(e.version, e.revision, target, e.when.Format(time.RFC3339), all)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, base+".cdx.json"), bom, 0o644); err != nil {
		return nil, err
	}
	if goos == "windows" {
		return all, e.zip(filepath.Join(dir, base+".zip"), files)
	}
	return all, e.tar(filepath.Join(dir, base+".tar.gz"), files)
}

// units are the files beside programs that run them under Linux, and where they go.
var units = map[string]string{"*.service": "systemd/", "Containerfile": "containers/", "compose.yaml": "containers/", "kubernetes.yaml": "containers/"}

// extras returns what goes into archives beside programs: texts, manuals,
// completions, and what runs them under Linux.
func (e *env) extras(host, man string) ([]file, error) {
	var all []file
	add := func(name, path string) error {
		b, err := os.ReadFile(path)
		all = append(all, file{name, 0o644, b})
		return err
	}
	for _, name := range []string{"LICENSE", "README.md"} {
		if err := add(name, filepath.Join(e.dir, name)); err != nil {
			return nil, err
		}
	}
	shells := []struct{ shell, name string }{{"bash", "bash/%s"}, {"zsh", "zsh/_%s"}, {"fish", "fish/%s.fish"}, {"powershell", "powershell/%s.ps1"}}
	for _, program := range programs {
		bin := filepath.Join(host, program)
		if runtime.GOOS == "windows" {
			bin += ".exe"
		}
		for _, s := range shells {
			text, err := e.output(bin, "completion", s.shell)
			if err != nil {
				return nil, err
			}
			all = append(all, file{"completions/" + fmt.Sprintf(s.name, program), 0o644, []byte(text)})
		}
		if err := os.MkdirAll(man, 0o755); err != nil {
			return nil, err
		}
		if _, err := e.output("go", "run", "-tags", "man", "./cmd/"+program, "man", man); err != nil {
			return nil, err
		}
		for pattern, to := range units {
			found, err := filepath.Glob(filepath.Join(e.dir, "cmd", program, pattern))
			if err != nil {
				return nil, err
			}
			for _, path := range found {
				if err := add(to+filepath.Base(path), path); err != nil {
					return nil, err
				}
			}
		}
	}
	pages, err := filepath.Glob(filepath.Join(man, "*.[1-9]"))
	if err != nil || len(pages) < len(programs) {
		return nil, errors.Join(err, fmt.Errorf("%d pages of the manual", len(pages)))
	}
	for _, path := range pages {
		if err := add("man/"+filepath.Base(path), path); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// source writes the tree with all modules in it, so that it can be built where no
// network is, and when a module's site is gone.
func (e *env) source(dir string) error {
	base := "hearsay_" + e.version + "_source"
	tree := filepath.Join(filepath.Dir(e.dir), "source")
	if err := os.Mkdir(tree, 0o755); err != nil {
		return err
	}
	if _, err := e.output("git", "archive", "--format=tar", "-o", tree+".tar", e.revision); err != nil {
		return err
	}
	if _, err := e.output("tar", "-xf", tree+".tar", "-C", tree); err != nil {
		return err
	}
	unpacked := *e
	unpacked.dir = tree
	if _, err := unpacked.output("go", "mod", "vendor"); err != nil {
		return err
	}
	files, err := readTree(tree, base)
	if err != nil {
		return err
	}
	return e.tar(filepath.Join(dir, base+".tar.gz"), files)
}

// sums writes SHA256SUMS, in the form of sha256sum.
func sums(dir string) error {
	list, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var b strings.Builder
	for _, f := range list {
		contents, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%x  %s\n", sha256.Sum256(contents), f.Name())
	}
	return os.WriteFile(filepath.Join(dir, "SHA256SUMS"), []byte(b.String()), 0o644)
}
