package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

func main() {
	if role := os.Getenv(nodeEnv); role != "" {
		os.Exit(runNode(role, os.Stdin, os.Stdout))
	}
	b := &bench{progress: os.Stderr, links: manyLinks, each: manyEach}
	flag.IntVar(&b.rounds, "rounds", 5, "how often circuits and chain take turns")
	flag.Int64Var(&b.megabytes, "mb", 120, "megabytes of one transfer")
	only := flag.String("only", "", "parts to run, separated by commas, of: "+strings.Join(partNames(), ", "))
	flag.Parse()
	if err := b.run(*only); err != nil {
		fmt.Fprintln(os.Stderr, "speed: error:", err)
		os.Exit(1)
	}
	fmt.Printf("hearsay %s, %s, %d cores, %s, %s\n\n", commit(), processor(), runtime.NumCPU(), runtime.Version(), time.Now().UTC().Format("2006-01-02 15:04 MST"))
	if err := printTable(os.Stdout, b.figures); err != nil {
		fmt.Fprintln(os.Stderr, "speed: error:", err)
		os.Exit(1)
	}
	for _, n := range b.notes {
		fmt.Println(n)
	}
}

// bench is one run of all measurements.
type bench struct {
	rounds    int
	megabytes int64 // of one transfer
	links     int   // of the client side of many circuits
	each      int   // circuits on each of them
	progress  io.Writer
	dir       string
	pair      *pair // once it was needed
	figures   []figure
	notes     []string
}

// part is a group of measurements.
type part struct {
	name string
	run  func(*bench) error
	pair bool // uses the pair
}

// parts in the order of the table.
var parts = []part{
	{"roundtrip", (*bench).echoes, true},
	{"one", (*bench).one, true},
	{"upload", (*bench).upload, true},
	{"many", (*bench).many, true},
	{"build", (*bench).build, false},
	{"memory", (*bench).memory, false},
	{"limits", (*bench).limits, false},
	{"fresh", (*bench).fresh, false},
	{"interactive", (*bench).interactive, false},
	{"messages", (*bench).messages, false},
}

func partNames() []string {
	var names []string
	for _, p := range parts {
		names = append(names, p.name)
	}
	return names
}

// run runs the parts named, or all.
func (b *bench) run(only string) (err error) {
	var chosen []string
	if only != "" {
		chosen = strings.Split(only, ",")
	}
	for _, c := range chosen {
		if !slices.Contains(partNames(), c) {
			return fmt.Errorf("no part %q", c)
		}
	}
	if b.dir, err = os.MkdirTemp("", "hearsay-speed-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	defer b.closePair()
	for _, p := range parts {
		if !p.pair {
			b.closePair()
		}
		if chosen != nil && !slices.Contains(chosen, p.name) {
			continue
		}
		start := time.Now()
		if err := p.run(b); err != nil {
			b.note("%s could not be measured: %v", p.name, err)
		}
		b.say("%s: %.0f s", p.name, time.Since(start).Seconds())
	}
	return nil
}

// closePair ends the processes of the pair.
func (b *bench) closePair() {
	if b.pair != nil {
		b.pair.close()
		b.pair = nil
	}
}

func (b *bench) add(fs ...figure) { b.figures = append(b.figures, fs...) }

func (b *bench) note(format string, args ...any) {
	b.notes = append(b.notes, fmt.Sprintf(format, args...))
	b.say(format, args...)
}

func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.progress, "speed: "+format+"\n", args...)
}

// temp makes a directory of the run's own.
func (b *bench) temp() (string, error) { return os.MkdirTemp(b.dir, "") }

// commit names what is measured.
func commit() string {
	out, err := exec.Command("git", "describe", "--always", "--dirty").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// processor names the machine.
func processor() string {
	raw, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOOS + "/" + runtime.GOARCH
	}
	for line := range strings.Lines(string(raw)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}
