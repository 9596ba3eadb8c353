package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"hearsay/cmd/program"
	"hearsay/directory"
)

// maxWords bounds what is read of a root key's words, in bytes.
const maxWords = 1024

// readWords returns the text of a file, or what is typed until there are enough
// words or an empty line.
func readWords(cmd *cobra.Command, file string) ([]byte, error) {
	if file != "" {
		return readInput(file, "")
	}
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		return nil, program.Usage("give --words-file, or run it in a terminal", "there is nobody to type the words")
	}
	fmt.Fprintln(cmd.ErrOrStderr(), "The 24 words of the root key, in as many lines as you like:")
	in := bufio.NewReader(io.LimitReader(os.Stdin, maxWords))
	var text []byte
	for len(bytes.Fields(text)) < directory.RootWordCount {
		line, err := in.ReadBytes('\n')
		text = append(text, line...)
		if errors.Is(err, io.EOF) || len(bytes.TrimSpace(line)) == 0 {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	return text, nil
}
