package program

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"

	"hearsay/directory"
	"hearsay/relay"
)

// maxLinkFile bounds a file that holds a network link, bytes.
const maxLinkFile = 8192

// ReadLink parses a network link, or the network link in a file. Empty text
// gives the zero link: the network that the home remembers.
func ReadLink(text string) (directory.NetworkLink, error) {
	var none directory.NetworkLink
	if text == "" {
		return none, nil
	}
	if !strings.HasPrefix(strings.ToUpper(strings.TrimSpace(text)), "HEARSAY-NET:") {
		b, err := readSmall(text)
		if err != nil {
			return none, Fail(ExitUsage, "give a link that starts with HEARSAY-NET:, or a file that holds one", fmt.Errorf("network: %w", err))
		}
		text = string(b)
	}
	l, err := directory.ParseNetworkLink(text)
	if err != nil {
		return none, Fail(ExitUsage, "copy the whole link, from HEARSAY-NET: to its end", err)
	}
	return l, nil
}

// ReadToken parses a relay token, or the one in a file if text starts with @,
// which keeps it out of process lists. Empty text gives nil.
func ReadToken(text string) ([]byte, error) {
	if text == "" {
		return nil, nil
	}
	if file, ok := strings.CutPrefix(text, "@"); ok {
		b, err := readSmall(file)
		if err != nil {
			return nil, Fail(ExitUsage, "", fmt.Errorf("token: %w", err))
		}
		text = string(b)
	}
	text = strings.TrimSpace(text)
	if strings.HasPrefix(strings.ToUpper(text), "HEARSAY-NET:") {
		l, err := directory.ParseNetworkLink(text)
		if err == nil && l.Token == nil {
			err = errors.New("that link carries no relay token")
		}
		return l.Token, Fail(ExitUsage, "ask a founder for `hearsay-directory token`", err)
	}
	t, err := directory.ParseInvitationText(text)
	if err != nil {
		return nil, Fail(ExitUsage, "ask a founder for `hearsay-directory token`", err)
	}
	return t.Bytes(), nil
}

func readSmall(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxLinkFile+1))
	if err == nil && len(b) > maxLinkFile {
		err = fmt.Errorf("%s: more than %d bytes", name, maxLinkFile)
	}
	return b, err
}

// ParseListen parses ADDR:PORT, with an IP address and no name.
func ParseListen(flag, text string) (netip.AddrPort, error) {
	a, err := netip.ParseAddrPort(text)
	if err != nil {
		return a, Usage("write an IP address and a port, such as 192.0.2.7:4443 or [2001:db8::7]:4443", "--%s: %q is no address", flag, text)
	}
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()), nil
}

// NodeError gives the errors of nodes their exit codes and hints.
func NodeError(err error) error {
	var e *Error
	switch {
	case err == nil || errors.As(err, &e):
		return err
	case errors.Is(err, relay.ErrHomeInUse):
		return Fail(ExitHomeInUse, "stop the other process, or give another --home", err)
	case errors.Is(err, relay.ErrRestoring):
		return Fail(ExitRefused, "empty the directory, and restore the backup again", err)
	case errors.Is(err, relay.ErrHomeOpen):
		return Fail(ExitRefused, "chmod 700 the directory and 600 its files: keys lie there", err)
	case errors.Is(err, relay.ErrAddress):
		return Fail(ExitRefused, "only a lab network takes loopback and private addresses", err)
	case errors.Is(err, relay.ErrPassphrase):
		return Fail(ExitPassphrase, "give --passphrase-file, or run it in a terminal", err)
	case errors.Is(err, relay.ErrNoNetwork):
		return Fail(ExitUsage, "give --network with the link of the network", err)
	case errors.Is(err, relay.ErrFounded):
		return Fail(ExitRefused, "`hearsay-directory run` serves it; another network needs another --home", err)
	case errors.Is(err, os.ErrPermission):
		return Fail(ExitFailure, "check who owns the home", err)
	}
	return err
}
