// Package cli is the command line, and the only place that assembles the program: it reads flags, opens the store,
// joins the domain to the hub, the node and the API, and runs them. Commands of users are clients of the API; commands
// of operators open the data directory of this machine.
package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"stile/internal/buildinfo"
	"stile/internal/certificate"
)

// commands is the whole command line.
type commands struct {
	Demo       DemoCmd       `cmd:"" group:"serve" help:"Try everything on this machine, in a temporary directory."`
	Serve      ServeCmd      `cmd:"" group:"serve" help:"Run the service: the API, the store and an embedded node."`
	Node       NodeCmd       `cmd:"" group:"serve" help:"Carry traffic on this machine for a service elsewhere; and manage such nodes."`
	User       UserCmd       `cmd:"" group:"operate" help:"Manage accounts and their subscriptions."`
	Job        JobCmd        `cmd:"" group:"operate" help:"Block, extend or sign out many accounts at once."`
	Plan       PlanCmd       `cmd:"" group:"operate" help:"Manage plans."`
	Server     ServerCmd     `cmd:"" group:"operate" help:"Manage servers."`
	Config     ConfigCmd     `cmd:"" group:"operate" help:"Give nodes other ports and protocols, in stages."`
	Voucher    VoucherCmd    `cmd:"" group:"operate" help:"Make and list codes that give periods of a plan."`
	Invitation InvitationCmd `cmd:"" group:"operate" help:"Let people make an account."`
	Webhook    WebhookCmd    `cmd:"" group:"operate" help:"Tell other programs of events."`
	Mail       MailCmd       `cmd:"" group:"operate" help:"Try the mail server; turn a user's notices off and on."`
	Settings   SettingsCmd   `cmd:"" group:"operate" help:"Show and change the brand, the links, who may sign up, the sender of mails."`
	Audit      AuditCmd      `cmd:"" group:"operate" help:"Show who changed what."`
	Import     ImportCmd     `cmd:"" group:"operate" help:"Bring accounts from another application."`
	Restore    RestoreCmd    `cmd:"" group:"operate" help:"Put a backup of the database in place, or say that one was."`

	Login   LoginCmd   `cmd:"" group:"use" help:"Sign in on this machine."`
	Status  StatusCmd  `cmd:"" group:"use" help:"Show the subscription, the traffic and the devices."`
	Servers ServersCmd `cmd:"" group:"use" help:"List the servers, best first."`
	Key     KeyCmd     `cmd:"" group:"use" help:"Print the access key of this device for a server."`
	Connect ConnectCmd `cmd:"" group:"use" help:"Open a local SOCKS5 and HTTP proxy through a server."`
	Devices DevicesCmd `cmd:"" group:"use" help:"List and remove devices."`
	Logout  LogoutCmd  `cmd:"" group:"use" help:"Sign out and end this device's keys."`
	Doctor  DoctorCmd  `cmd:"" group:"use" help:"Find out why it does not work."`

	Version kong.VersionFlag `env:"-" help:"Print the version."`
}

const description = `A VPN service in one binary.

  stile demo      shows everything at work on this machine
  stile serve     runs the service; then: stile user add, stile plan add
  stile login     signs in as a user; then: stile connect

Every flag can be set by the environment variable shown beside it.`

// exitRefused is the exit code of a node that was shut out: EX_CONFIG of sysexits.h, which no restart mends. The unit in
// deploy knows it.
const exitRefused = 78

// Main runs the command line of this process and returns its exit code: 0 done, 1 failed, 2 misused, 78 a node that was
// shut out.
func Main() int {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	return Run(endedBy(signals), os.Args[1:], &Terminal{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})
}

// endedBy returns a context that the first signal ends. By then nobody listens any more: a second one ends the process, as soon as it
// says that it stops.
func endedBy(signals chan os.Signal) context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-signals
		signal.Stop(signals)
		cancel()
	}()
	return ctx
}

// Run runs one command until it is done or ctx ends, and returns its exit code.
func Run(ctx context.Context, args []string, terminal *Terminal) int {
	exit := -1
	parser, err := newParser(ctx, terminal, func(code int) { exit = code })
	if err != nil {
		panic(err) // the command table itself is wrong
	}
	parsed, err := parser.Parse(joinNegatives(asked(args)))
	switch {
	case exit >= 0: // --help or --version has answered
		return exit
	case err != nil:
		_, _ = fmt.Fprintf(terminal.Err, "stile: %s\n%s\n", misuse(err), helpFor(err))
		return 2
	}
	if err := parsed.Run(); err != nil && !(errors.Is(err, context.Canceled) && ctx.Err() != nil) {
		_, _ = fmt.Fprintf(terminal.Err, "stile: %s\n", explain(err, parsed.Selected()))
		if errors.Is(err, errRefused) {
			return exitRefused
		}
		return 1
	}
	return 0
}

// asked are the words of a command, in which `stile help COMMAND` and `stile version` are what everybody means by them.
func asked(args []string) []string {
	switch {
	case len(args) == 0:
		return []string{"--help"}
	case args[0] == "help":
		return append(slices.Clone(args[1:]), "--help")
	case args[0] == "version":
		return append([]string{"--version"}, args[1:]...)
	}
	return args
}

// misuse is what was wrong with the words of a command. Kong takes a number below zero, where a number stands alone, for a flag.
func misuse(err error) string {
	word, isFlag := strings.CutPrefix(err.Error(), "unknown flag ")
	if !isFlag || !isNegative(word) {
		return err.Error()
	}
	word, _, _ = strings.Cut(word, ",")
	return fmt.Sprintf("want a number, 0 or more, not %q", word)
}

// helpFor says where the command is explained that was misused.
func helpFor(err error) string {
	command := "stile"
	if wrong, ok := errors.AsType[*kong.ParseError](err); ok {
		for _, step := range wrong.Context.Path {
			if step.Command != nil {
				command += " " + step.Command.Name
			}
		}
	}
	return fmt.Sprintf("`%s --help` explains it.", command)
}

func newParser(ctx context.Context, terminal *Terminal, exit func(int)) (*kong.Kong, error) {
	return kong.New(&commands{}, append(numbers(),
		kong.Name("stile"), kong.Description(description), kong.DefaultEnvars("STILE"), kong.UsageOnError(),
		kong.Writers(terminal.Out, terminal.Err), kong.Exit(exit),
		kong.Vars{
			"version": buildinfo.Version(), "data": defaultDataDir("stile"), "node_data": defaultDataDir("stile-node"),
			"letsencrypt": certificate.LetsEncrypt,
		},
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
		kong.ExplicitGroups([]kong.Group{
			{Key: "serve", Title: "Run the service"},
			{Key: "operate", Title: "Manage it, on its machine"},
			{Key: "use", Title: "Use it"},
		}),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(terminal),
	)...)
}
