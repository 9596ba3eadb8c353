package cmd_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/semver"
)

// attackRows is how many attacks the table of the README has.
const attackRows = 40

// TestAttacksAndTheirTests reads the table of the README: each row has its
// number, and each test that it names exists in the package that it names.
func TestAttacksAndTheirTests(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(readme), "\n## Attacks and their tests\n")
	if !ok {
		t.Fatal("the README has no table of attacks")
	}
	table, _, _ = strings.Cut(table, "\n## ")

	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	exists := map[string]bool{} // "dir Test"
	for file, text := range sources(t) {
		if !strings.HasSuffix(file, "_test.go") {
			continue
		}
		for _, m := range declared.FindAllStringSubmatch(text, -1) {
			exists[path.Dir(file)+" "+m[1]] = true
		}
	}
	row := regexp.MustCompile(`(?m)^\| ([0-9]+) \|[^|\n]+\|[^|\n]+\|([^|\n]+)\|$`)
	named := regexp.MustCompile("`([a-z][a-z/-]*)`|((?:Test|Fuzz)[A-Z]\\w+)")
	rows := row.FindAllStringSubmatch(table, -1)
	if len(rows) != attackRows {
		t.Errorf("%d rows, want %d", len(rows), attackRows)
	}
	for i, m := range rows {
		if m[1] != strconv.Itoa(i+1) {
			t.Errorf("row %d has number %s", i+1, m[1])
		}
		dir, tests := "", 0
		for _, n := range named.FindAllStringSubmatch(m[2], -1) {
			if n[1] != "" {
				dir = n[1]
				continue
			}
			tests++
			if !exists[dir+" "+n[2]] {
				t.Errorf("row %s names %s in %q, which does not exist", m[1], n[2], dir)
			}
		}
		if tests == 0 {
			t.Errorf("row %s names no test", m[1])
		}
	}
}

// code parses the Go files that programs are made of: no tests, no laboratory.
func code(t *testing.T) map[string]*ast.File {
	t.Helper()
	files := map[string]*ast.File{}
	for name, text := range sources(t) {
		if strings.HasSuffix(name, "_test.go") || strings.HasPrefix(name, "relay/lab/") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, text, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = f
	}
	if len(files) < 200 {
		t.Fatalf("%d files: the search is broken", len(files))
	}
	return files
}

// secretWords are the words of a name whose value an attacker may not learn from
// the time that a comparison takes.
var secretWords = []string{"mac", "tag", "secret", "secrets", "confirm", "confirmation", "passphrase", "password", "writecap", "capability"}

// namesSecret reports whether an expression ends in a name with one of these words.
func namesSecret(x ast.Expr) bool {
	switch x := x.(type) {
	case *ast.ParenExpr:
		return namesSecret(x.X)
	case *ast.SliceExpr:
		return namesSecret(x.X)
	case *ast.IndexExpr:
		return namesSecret(x.X)
	case *ast.StarExpr:
		return namesSecret(x.X)
	case *ast.UnaryExpr:
		return namesSecret(x.X)
	case *ast.SelectorExpr:
		return namesSecret(x.Sel)
	case *ast.CallExpr: // a conversion, or String(), Bytes(), Append(nil)
		if s, ok := x.Fun.(*ast.SelectorExpr); ok && (s.Sel.Name == "String" || s.Sel.Name == "Bytes" || s.Sel.Name == "Append") {
			return namesSecret(s.X)
		}
		_, conversion := x.Fun.(*ast.ArrayType)
		if id, ok := x.Fun.(*ast.Ident); ok && id.Name == "string" {
			conversion = true
		}
		return conversion && len(x.Args) == 1 && namesSecret(x.Args[0])
	case *ast.Ident:
		var words []string
		word := ""
		for _, r := range x.Name {
			if unicode.IsUpper(r) && word != "" {
				words, word = append(words, word), ""
			}
			word += string(unicode.ToLower(r))
		}
		joined := " " + strings.Join(append(words, word), " ") + " "
		for _, s := range secretWords {
			if strings.Contains(joined, " "+s+" ") || strings.EqualFold(x.Name, s) {
				return true
			}
		}
	}
	return false
}

// fixed reports whether an expression is a constant, nil, or a zero value: to
// compare with these tells nothing but whether there is a value.
func fixed(x ast.Expr) bool {
	switch x := x.(type) {
	case *ast.ParenExpr:
		return fixed(x.X)
	case *ast.BasicLit:
		return true
	case *ast.CompositeLit:
		return len(x.Elts) == 0
	case *ast.Ident:
		return x.Name == "nil" || x.Name == "true" || x.Name == "false"
	}
	return false
}

// comparesSecret returns what an expression compares byte by byte, if its name
// says that it is secret.
func comparesSecret(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.BinaryExpr:
		return (n.Op == token.EQL || n.Op == token.NEQ) && (namesSecret(n.X) || namesSecret(n.Y)) && !fixed(n.X) && !fixed(n.Y)
	case *ast.CallExpr:
		s, ok := n.Fun.(*ast.SelectorExpr)
		if !ok || len(n.Args) != 2 {
			return false
		}
		pkg, ok := s.X.(*ast.Ident)
		if !ok || pkg.Name != "bytes" && pkg.Name != "slices" && pkg.Name != "strings" {
			return false
		}
		switch s.Sel.Name {
		case "Equal", "Compare", "HasPrefix", "HasSuffix", "EqualFold", "Contains":
			return namesSecret(n.Args[0]) || namesSecret(n.Args[1])
		}
	}
	return false
}

// TestSecretsAreComparedInConstantTime forbids bytes.Equal and == on whatever is
// named a MAC, a tag, a secret or a confirmation (CVE-2024-40640, and programs that
// compared MACs with bytes.Equal): crypto/subtle and crypto/hmac do it.
func TestSecretsAreComparedInConstantTime(t *testing.T) {
	const sample = `package x
func f() {
	_ = bytes.Equal(mac, m.MAC[:])
	_ = want.tag != got
	_ = string(sessionSecret) == x
	_ = slices.Equal(a, c.confirm[:16])
	_ = len(mac) == 16
	_ = m.mac == [16]byte{}
	_ = stage == storage
}`
	f, err := parser.ParseFile(token.NewFileSet(), "", sample, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	ast.Inspect(f, func(n ast.Node) bool {
		if comparesSecret(n) {
			found++
		}
		return true
	})
	if found != 4 {
		t.Fatalf("%d comparisons of the sample are found, want 4: the search is broken", found)
	}

	constant := 0
	for name, f := range code(t) {
		if top, _, _ := strings.Cut(name, "/"); top == ".ci" {
			continue
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if n != nil && comparesSecret(n) {
				t.Errorf("%s compares a secret in a time that tells of it, at byte %d", name, n.Pos())
			}
			if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.Name == "ConstantTimeCompare" {
				constant++
			}
			return true
		})
	}
	if constant < 20 {
		t.Errorf("%d comparisons in constant time: the search is broken", constant)
	}
}

// TestOneWayToVerifySignatures: a signature that one program takes and another
// refuses splits the network (CVE-2021-38385 was a batch that differed from single
// checks). All go through crypto/ed25519 one by one; curve arithmetic has one place.
func TestOneWayToVerifySignatures(t *testing.T) {
	verify := 0
	for name, f := range code(t) {
		for _, imp := range f.Imports {
			p := strings.Trim(imp.Path.Value, `"`)
			if strings.Contains(p, "25519") && p != "crypto/ed25519" && (p != "filippo.io/edwards25519" || name != "directory/blind.go") {
				t.Errorf("%s imports %s", name, p)
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			s, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			switch pkg, _ := s.X.(*ast.Ident); {
			case strings.Contains(s.Sel.Name, "Batch") && strings.Contains(s.Sel.Name, "Verif"), s.Sel.Name == "VerifyWithOptions":
				t.Errorf("%s verifies by %s", name, s.Sel.Name)
			case s.Sel.Name == "Verify" && pkg != nil && pkg.Name == "ed25519":
				verify++
			}
			return true
		})
	}
	if verify < 5 {
		t.Errorf("%d calls of ed25519.Verify: the search is broken", verify)
	}
}

// TestNoKnownFlawsOfQUIC: HTTP/3, whose headers grow without bound when they are
// unpacked (CVE-2025-64702), is in no program, and the version of quic-go is one after
// the end of the handshake that came too early (GO-2025-4017) and not older than the
// one that was looked at.
func TestNoKnownFlawsOfQUIC(t *testing.T) {
	const module, oldest = "github.com/quic-go/quic-go", "v0.65.0"
	b, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	mod, err := modfile.Parse("go.mod", b, nil)
	if err != nil {
		t.Fatal(err)
	}
	version := ""
	for _, r := range mod.Require {
		if r.Mod.Path == module {
			version = r.Mod.Version
		}
	}
	if semver.Compare(version, oldest) < 0 {
		t.Errorf("%s is %q, older than %s", module, version, oldest)
	}
	for _, r := range mod.Replace {
		t.Errorf("go.mod replaces %s: nobody looks for flaws of that", r.Old.Path)
	}
	for program, p := range list(t, "hearsay/cmd/...") {
		for _, dep := range p.Deps {
			if dep == module+"/http3" || dep == "github.com/quic-go/qpack" || dep == module+"/webtransport" {
				t.Errorf("%s links %s", program, dep)
			}
		}
	}
}
