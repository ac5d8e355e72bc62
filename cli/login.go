package cli

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"runtime"
	"strings"

	"golang.org/x/term"

	"stile/client"
	"stile/wire"
)

// defaultAPI is where a bare `stile serve` listens.
const defaultAPI = "http://127.0.0.1:8000"

// LoginCmd is `stile login`.
type LoginCmd struct {
	API           string `name:"api" placeholder:"URL" help:"Address of the service; by default the last one, at first http://127.0.0.1:8000."`
	Email         string `help:"E-mail of the account; asked for when absent."`
	PasswordStdin bool   `help:"Read the password from standard input instead of asking."`
	DeviceName    string `help:"Name of this device in the account; by default the host name."`
	OTP           string `name:"otp" placeholder:"CODE" help:"Code of the second factor, or a recovery code; asked for when the account wants one."`
	ReplaceDevice int64  `placeholder:"ID" help:"Device to sign out when no slot is free."`
	JSON          bool   `name:"json" help:"Print JSON."`
}

// Help is shown by --help.
func (*LoginCmd) Help() string {
	return `The session is kept for you alone, in the directory stile of your configuration. Signing in again on the same machine takes no second device slot.

Example:

  $ stile login --api https://vpn.example.net --email ivan@example.com`
}

// Run signs in and keeps the session.
func (c *LoginCmd) Run(ctx context.Context, t *Terminal) error {
	p, err := openProfile()
	if err != nil {
		return err
	}
	last, err := p.session()
	if err != nil {
		return err
	}
	s := session{API: cmp.Or(c.API, last.API, defaultAPI), Email: c.Email}
	api, err := newClient(s.API, "")
	if err != nil {
		return err
	}
	s.API = api.BaseURL()
	warnOfPlainHTTP(t, s.API)
	in := bufio.NewReader(t.In)
	if s.Email == "" {
		if s.Email, err = askLine(ctx, t, in, "E-mail: "); err != nil {
			return unanswered(err, "no e-mail: add --email")
		}
	}
	password, err := c.password(ctx, t, in)
	if err != nil {
		return err
	}
	deviceID, err := p.deviceID()
	if err != nil {
		return err
	}
	request := wire.LoginRequest{
		Email: s.Email, Password: password, OTP: c.OTP,
		DeviceID: deviceID, DeviceName: cmp.Or(c.DeviceName, deviceName()), ReplaceDeviceID: c.ReplaceDevice,
	}
	answer, err := api.Login(ctx, request)
	if client.CodeOf(err) == client.CodeOTPRequired && !c.PasswordStdin {
		if request.OTP, err = askLine(ctx, t, in, "Code of your authenticator app: "); err != nil {
			return unanswered(err, "no code: add --otp")
		}
		answer, err = api.Login(ctx, request)
	}
	if err != nil {
		return loginRemedy(t, err, s.API)
	}
	s.Token = answer.Token
	if err := p.keep(s); err != nil {
		return err
	}
	if c.JSON {
		return t.printJSON(map[string]string{"api": s.API, "email": s.Email, "device_id": answer.DeviceID})
	}
	t.printf("Signed in to %s as %s. Next: stile connect\n", s.API, s.Email)
	return nil
}

// password reads the password: from standard input, or from the person, without showing it.
func (c *LoginCmd) password(ctx context.Context, t *Terminal, in *bufio.Reader) (string, error) {
	if c.PasswordStdin {
		raw, err := io.ReadAll(io.LimitReader(in, 64<<10))
		return strings.TrimRight(string(raw), "\r\n"), err
	}
	file, ok := t.In.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return "", errors.New("there is no terminal to ask for the password: add --password-stdin and pipe it in")
	}
	shown, err := term.GetState(int(file.Fd()))
	if err != nil {
		return "", err
	}
	t.notef("Password: ")
	word, err := answered(ctx, func() (string, error) {
		raw, err := term.ReadPassword(int(file.Fd()))
		return string(raw), err
	})
	if errors.Is(err, errInterrupted) { // the one who reads still hides what is typed
		err = errors.Join(err, term.Restore(int(file.Fd()), shown))
	}
	t.notef("\n")
	return word, err
}

// errInterrupted says that Ctrl-C was the answer to a question.
var errInterrupted = errors.New("interrupted: nobody is signed in")

// answered is what read returns, or errInterrupted when ctx ends first: a read of a terminal does not hear of signals.
func answered(ctx context.Context, read func() (string, error)) (string, error) {
	type answer struct {
		text string
		err  error
	}
	given := make(chan answer, 1)
	go func() {
		text, err := read()
		given <- answer{text, err}
	}()
	select {
	case a := <-given:
		return a.text, a.err
	case <-ctx.Done():
		return "", errInterrupted
	}
}

// unanswered says what to do where nobody answers a question.
func unanswered(err error, remedy string) error {
	if errors.Is(err, errInterrupted) {
		return err
	}
	return errors.New(remedy)
}

// askLine asks for one line.
func askLine(ctx context.Context, t *Terminal, in *bufio.Reader, question string) (string, error) {
	t.notef("%s", question)
	line, err := answered(ctx, func() (string, error) { return in.ReadString('\n') })
	if errors.Is(err, errInterrupted) {
		t.notef("\n")
		return "", err
	}
	line = strings.TrimSpace(line)
	if line == "" && err == nil {
		err = io.ErrUnexpectedEOF
	}
	if line != "" {
		return line, nil
	}
	return "", err
}

// deviceName says what people would call this machine; the system's name tells the service its kind.
func deviceName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "stile"
	}
	return fmt.Sprintf("%s (%s)", host, runtime.GOOS)
}

// loginRemedy is remedy, and shows the devices when they are the trouble.
func loginRemedy(t *Terminal, err error, api string) error {
	refusal, ok := errors.AsType[*client.Error](err)
	switch code := client.CodeOf(err); {
	case code == client.CodeOTPRequired:
		return errors.New("the account asks for the code of its second factor: add --otp CODE, or set STILE_OTP")
	case code == client.CodeOTPInvalid:
		return errors.New("the code is wrong, late or used already: sign in with the next one, or with a recovery code")
	}
	if !ok || refusal.Code != client.CodeDeviceLimitReached {
		return remedy(err, api)
	}
	t.notef("%s\n\n", clean(refusal.Message))
	(&Terminal{Out: t.Err}).printDevices(refusal.Details.Devices)
	t.notef("\n")
	return fmt.Errorf("all %d device slots are taken: sign one out with `stile login --replace-device ID`", refusal.Details.Limit)
}

// warnOfPlainHTTP says when a password is about to cross a network in the clear.
func warnOfPlainHTTP(t *Terminal, api string) {
	u, err := url.Parse(api)
	if err != nil || u.Scheme != "http" || u.Hostname() == "localhost" {
		return
	}
	if ip := net.ParseIP(u.Hostname()); ip == nil || !ip.IsLoopback() {
		t.notef("Warning: %s is not encrypted; everybody on the way can read the password. Use https://.\n", api)
	}
}
