package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/alecthomas/kong"

	"stile/vpn"
)

// fieldHelp says what a field of an operator's command takes, but for numbers, which are refused before by the bounds of their flags.
var fieldHelp = map[string]string{
	"email":       "want one e-mail address, such as user@example.com",
	"password":    "want 8 to 1024 characters",
	"locale":      "want ru or en",
	"plan":        "no such plan; `stile plan list` shows them",
	"periods":     "want 1 to 1200, and no more than 36500 days with them",
	"code":        "want 1 to 64 of a-z, 0-9 and, behind the first, - _ .",
	"name":        "want a name of 1 to 255 characters",
	"country":     "want a code of two letters that ISO 3166-1 assigns to a country, such as NL or GB; ZZ where it is not known",
	"host":        "want the public name or address of the server, such as nl1.example.net, without https:// and port",
	"ping_url":    "want an address such as https://nl1.example.net/ping",
	"city":        "want at most 255 characters",
	"ports":       "want a range within 1-65535, such as 8388-8403",
	"https_port":  "want 0 (none) to 65535, and not one of the Shadowsocks ports",
	"servers":     "no such server, or its node takes no configurations: it never linked, or runs an earlier release; `stile config status` shows them",
	"first":       "not one of the servers that this is for",
	"leave":       "not one of the servers that the roll-out is for; `stile config status` shows them",
	"note":        "want at most 255 characters",
	"expires":     "want a time to come",
	"expires_at":  "want an instant before the year 10000, in UTC",
	"next":        "no such plan, or the plan itself; `stile plan list` shows them",
	"url":         "want an address such as https://example.com/hook, without user, password and fragment",
	"events":      "want up to 50 such as user.*, device.sign_in or *; nouns are user, subscription, payment, voucher, device, node, server, plan",
	"brand":       "want at most 45 characters",
	"account_url": "want an address such as https://example.com",
	"renew_url":   "want an address such as https://example.com",
	"support_url": "want an address such as https://example.com, or mailto:help@example.com",
	"sign_up":     "want closed, invitation, voucher or open",
	"mail_from":   "want an address such as vpn@example.net or VPN <vpn@example.net>",
	"search":      "this takes too long to look for: say more of it, or leave out what is seldom met together",
	"ids":         "want 1 to 1000 accounts",
	"webhooks":    "there are 100 already, which is the most",
}

// unfound names what is not there, when that is what err says; list is the command that shows what is.
func unfound(err error, what, list string) error {
	if vpn.CodeOf(err) == vpn.CodeNotFound {
		return noSuch(what, list)
	}
	return err
}

func noSuch(what, list string) error {
	return fmt.Errorf("no %s; `stile %s` shows those there are", what, list)
}

// errNothing says that a command was told of nothing to change.
var errNothing = errors.New("nothing is changed: say what, by the flags that --help lists")

// flagOf is what a command calls a field: its flag of that name, or the one that says field:"NAME".
func flagOf(field string, command *kong.Node) string {
	if command != nil {
		for _, flag := range command.Flags {
			if flag.Tag.Get("field") == field || flag.Name == strings.ReplaceAll(field, "_", "-") {
				return "--" + flag.Name
			}
		}
	}
	return field
}

// explain turns an error into what a person at the shell can act on, who has given a command; nil where that does not matter.
func explain(err error, command *kong.Node) string {
	refusal, ok := errors.AsType[*vpn.Error](err)
	if !ok {
		return err.Error()
	}
	switch refusal.Code {
	case vpn.CodeRolloutState:
		return "no roll-out is in a state for that: `stile config status` shows the newest, if there is one, and what can be done with it"
	case vpn.CodeValidationFailed:
		return fmt.Sprintf("%s: %s", flagOf(refusal.Field, command), fieldHelp[refusal.Field])
	case vpn.CodeConflict:
		if refusal.Max > 0 {
			return fmt.Sprintf("there are %d %s already, which is the most", refusal.Max, refusal.Field)
		}
		return fmt.Sprintf("this %s is taken already", refusal.Field)
	case vpn.CodeLastOwner:
		return "nobody else is an owner: make one first with `stile user role EMAIL owner`"
	case vpn.CodeNotFound:
		return "there is no such thing any more; somebody else may have deleted it"
	case vpn.CodeDeviceNotFound:
		return "this user has no such device; `stile user show EMAIL` lists them"
	case vpn.CodeSubscriptionRequired:
		return "this user has no subscription; give one with `stile user subscribe EMAIL PLAN`"
	default:
		return string(refusal.Code)
	}
}
