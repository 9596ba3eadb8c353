package main

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// module is one that a program is built of.
type module struct {
	path, version, sum string
	licences           []licence
}

// purl is the package URL of a module.
func purl(path, version string) string {
	return "pkg:golang/" + strings.ToLower(path) + "@" + strings.ReplaceAll(version, "+", "%2B")
}

// linked returns the modules that are linked into a program, as the program itself
// tells, Go's library the last.
func linked(program string) ([]module, error) {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return nil, err
	}
	var all []module
	for _, d := range info.Deps {
		if d.Replace != nil {
			return nil, fmt.Errorf("%s is replaced by %s: releases replace nothing", d.Path, d.Replace.Path)
		}
		if d.Sum == "" {
			return nil, fmt.Errorf("%s %s has no sum", d.Path, d.Version)
		}
		all = append(all, module{path: d.Path, version: d.Version, sum: d.Sum})
	}
	return append(all, module{path: "std", version: strings.TrimPrefix(info.GoVersion, "go")}), nil
}

// withLicences fills in the licences of modules, from where Go keeps their sources.
func withLicences(e *env, modules []module) error {
	for i, m := range modules {
		where := []string{"list", "-m", "-f", "{{.Dir}}", m.path}
		if m.path == "std" {
			where = []string{"env", "GOROOT"}
		}
		dir, err := e.output("go", where...)
		if err != nil {
			return err
		}
		if dir = strings.TrimSpace(dir); dir == "" {
			return fmt.Errorf("the source of %s is not here", m.path)
		}
		if m.path == "std" {
			if modules[i].licences, err = goLicence(dir); err != nil {
				return err
			}
			continue
		}
		if modules[i].licences, err = licences(dir); err != nil {
			return err
		}
	}
	return nil
}

// goLicence returns the licence of Go's library. What lies below its root is of
// tools and tests.
func goLicence(root string) ([]licence, error) {
	var text []byte
	var err error
	for _, dir := range []string{root, filepath.Dir(root), "/usr/share/doc/golang"} { // distributions move it
		if text, err = os.ReadFile(filepath.Join(dir, "LICENSE")); err == nil {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("the licence of Go: %w", err)
	}
	id := identify(text)
	if id == "" {
		return nil, fmt.Errorf("the licence of Go in %s is not known here", root)
	}
	return []licence{{"LICENSE", id, text}}, nil
}

// What follows is CycloneDX 1.6 as JSON, as far as it is needed.

type bom struct {
	Format       string       `json:"bomFormat"`
	Spec         string       `json:"specVersion"`
	Serial       string       `json:"serialNumber"`
	Version      int          `json:"version"`
	Metadata     bomMetadata  `json:"metadata"`
	Components   []component  `json:"components"`
	Dependencies []dependency `json:"dependencies"`
}

type bomMetadata struct {
	Time       string     `json:"timestamp"`
	Component  component  `json:"component"`
	Properties []property `json:"properties"`
}

type component struct {
	Type       string        `json:"type"`
	Ref        string        `json:"bom-ref"`
	Name       string        `json:"name"`
	Version    string        `json:"version"`
	Hashes     []hash        `json:"hashes,omitempty"`
	Licences   []licenceItem `json:"licenses,omitempty"`
	Purl       string        `json:"purl,omitempty"`
	Properties []property    `json:"properties,omitempty"`
}

type hash struct {
	Algorithm string `json:"alg"`
	Content   string `json:"content"`
}

type licenceItem struct {
	Licence licenceID `json:"license"`
}

type licenceID struct {
	ID string `json:"id"`
}

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type dependency struct {
	Ref       string   `json:"ref"`
	DependsOn []string `json:"dependsOn"`
}

// built is a program of one platform with what is linked into it.
type built struct {
	platform string
	name     string
	sha256   string
	modules  []module
}

// sbom lists what the programs of one platform are built of.
func sbom(version, revision, platform, time string, all []built) ([]byte, error) {
	main := component{
		Type: "application", Ref: purl("hearsay", version), Name: "hearsay", Version: version,
		Licences: []licenceItem{{licenceID{"BSD-3-Clause"}}}, Purl: purl("hearsay", version),
	}
	b := bom{
		Format: "CycloneDX", Spec: "1.6", Version: 1,
		Metadata: bomMetadata{Time: time, Component: main, Properties: []property{{"hearsay:platform", platform}, {"hearsay:revision", revision}}},
	}
	ofMain := []string{}
	seen := map[string]bool{}
	for _, p := range all {
		ref := main.Ref + "#cmd/" + p.name
		ofMain = append(ofMain, ref)
		b.Components = append(b.Components, component{
			Type: "application", Ref: ref, Name: p.name, Version: version, Hashes: []hash{{"SHA-256", p.sha256}},
			Licences: main.Licences, Purl: ref,
		})
		var refs []string
		for _, m := range p.modules {
			r := purl(m.path, m.version)
			refs = append(refs, r)
			if seen[r] {
				continue
			}
			seen[r] = true
			c := component{Type: "library", Ref: r, Name: m.path, Version: m.version, Purl: r}
			for _, id := range ids(m.licences) {
				c.Licences = append(c.Licences, licenceItem{licenceID{id}})
			}
			if m.sum != "" {
				c.Properties = []property{{"go:sum", m.sum}}
			}
			b.Components = append(b.Components, c)
		}
		b.Dependencies = append(b.Dependencies, dependency{ref, refs})
	}
	slices.SortStableFunc(b.Components, func(x, y component) int { return strings.Compare(x.Ref, y.Ref) })
	b.Dependencies = append([]dependency{{main.Ref, ofMain}}, b.Dependencies...)
	// The serial number is made of the contents, so that it is the same for all.
	plain, err := json.Marshal(b)
	if err != nil {
		return nil, err
	}
	h := sha256.Sum256(plain)
	h[6], h[8] = h[6]&0x0f|0x80, h[8]&0x3f|0x80 // UUID version 8: of one's own making
	b.Serial = fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", h[:4], h[4:6], h[6:8], h[8:10], h[10:16])
	out, err := json.MarshalIndent(b, "", "  ")
	return append(out, '\n'), err
}
