// Command release makes what a release consists of, and proves that anybody else
// makes the same bytes from the same commit.
//
//	go run ./.ci/release build [-targets LIST] [-untagged] REVISION DIR
//	go run ./.ci/release check [-targets LIST] [REVISION]
//	go run ./.ci/release notes FILE
//	go run ./.ci/release template VERSION
//
// It builds from a clone of its own, so that nothing which is not committed gets in,
// and with settings of its own, so that those of the computer do not count. No date
// but the commit's is in what it writes.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// platforms are what programs are released for.
var platforms = []string{"linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64", "windows/amd64", "freebsd/amd64"}

// programs are the commands under cmd that are released.
var programs = []string{"hearsay", "hearsay-relay", "hearsay-directory"}

const usage = `release build [-targets LIST] [-untagged] REVISION DIR   archives, lists of parts, source, provenance and sums
release check [-targets LIST] [REVISION]                  make it all twice, in two directories, and compare
release notes FILE                                        check the text of a release
release template VERSION                                  print one to fill in`

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "release: error:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return errors.New("what?\n" + usage)
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	targets := flags.String("targets", strings.Join(platforms, ","), "platforms, with commas between")
	untagged := flags.Bool("untagged", false, "take a revision that is no annotated tag: a trial, not a release")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	list, args := strings.Split(*targets, ","), append([]string{args[0]}, flags.Args()...)
	for _, p := range list {
		if os, arch, ok := strings.Cut(p, "/"); !ok || os == "" || arch == "" {
			return fmt.Errorf("platform %q is not of the form linux/amd64", p)
		}
	}
	switch {
	case args[0] == "build" && len(args) == 3:
		if !*untagged {
			if err := checkTag(args[1]); err != nil {
				return err
			}
		}
		dir, err := filepath.Abs(args[2])
		if err != nil {
			return err
		}
		return build(args[1], dir, list, "")
	case args[0] == "check" && len(args) <= 2:
		return check(append(args, "HEAD")[1], list)
	case args[0] == "notes" && len(args) == 2:
		text, err := os.ReadFile(args[1])
		if err != nil {
			return err
		}
		return checkNotes(string(text))
	case args[0] == "template" && len(args) == 2:
		fmt.Print(template(args[1]))
		return nil
	}
	return errors.New("these arguments do not fit\n" + usage)
}
