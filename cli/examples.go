package cli

// What --help adds to the commands of operators: how one is typed, and what to know before. A test parses each example.

// Help is shown by --help.
func (*ServeCmd) Help() string {
	return `Ctrl-C, or SIGTERM, ends it when what was asked is answered; a second one at once. Beside it, the other commands work on the
same --data, or the same --database.

Example:

  $ stile serve --public-url https://vpn.example.net --node-host vpn.example.net
  $ stile serve --nodes-listen :8443 --nodes-url https://control.example.net:8443`
}

// Help is shown by --help.
func (*DemoCmd) Help() string {
	return `Example:

  $ stile demo --once`
}

// Help is shown by --help.
func (*NodeRunCmd) Help() string {
	return `Ends with exit code 78 when the control plane shuts it out: it must not be started again before 'stile node join'.

Example:

  $ stile node run --https-port 443 --acme --ping-listen :443`
}

// Help is shown by --help.
func (*UserAddCmd) Help() string {
	return `Example:

  $ stile user add ann@example.com --name Ann --locale en --plan standard
  $ stile user add boss@example.com --operator`
}

// Help is shown by --help.
func (*UserSubscribeCmd) Help() string {
	return `Another plan takes the place of the one that runs, at once.

Example:

  $ stile user subscribe ann@example.com standard --periods 12`
}

// Help is shown by --help.
func (*UserExpireCmd) Help() string {
	return `Example:

  $ stile user expire ann@example.com 2026-12-31`
}

// Help is shown by --help.
func (*UserTokenCmd) Help() string {
	return `Example:

  $ stile user token boss@example.com backup-script --days 90 --scope admin:read`
}

// Help is shown by --help.
func (*UserResetCmd) Help() string {
	return `Example:

  $ stile user reset ann@example.com --public-url https://vpn.example.net`
}

// Help is shown by --help.
func (*JobStartCmd) Help() string {
	return `Example:

  $ stile job start extend --days 7 --all --plan-is standard --wait
  $ stile job start block ann@example.com bob@example.com`
}

// Help is shown by --help.
func (*PlanAddCmd) Help() string {
	return `Example:

  $ stile plan add standard --name Standard --days 30 --devices 5 --traffic 100GB
  $ stile plan add trial --trial --days 3 --devices 1 --traffic 2GB --starts-at-first-use`
}

// Help is shown by --help.
func (*ServerAddCmd) Help() string {
	return `Prints the line by which a machine joins as the server's node.

Example:

  $ stile server add 'Amsterdam 1' --country NL --city Amsterdam --host nl1.example.net`
}

// Help is shown by --help.
func (*ServerSetCmd) Help() string {
	return `Keys name the new host from the next time that they are asked for: apps ask once a day, and when a server does not answer.

Example:

  $ stile server set 2 --host nl2.example.net
  $ stile server set 2 --state drained`
}

// Help is shown by --help.
func (*VoucherAddCmd) Help() string {
	return `Prints the codes, one a line.

Example:

  $ stile voucher add standard --periods 3 --count 100 --days 365 --note 'autumn'`
}

// Help is shown by --help.
func (*InvitationAddCmd) Help() string {
	return `Example:

  $ stile invitation add --email ann@example.com --plan standard --public-url https://vpn.example.net`
}

// Help is shown by --help.
func (*WebhookAddCmd) Help() string {
	return `Example:

  $ stile webhook add https://shop.example.net/stile --events 'user.*,subscription.*'`
}

// Help is shown by --help.
func (*MailTestCmd) Help() string {
	return `Example:

  $ stile mail test you@example.com --smtp-url smtps://USER:PASSWORD@mail.example.net --mail-from 'VPN <vpn@example.net>'`
}

// Help is shown by --help.
func (*SettingsSetCmd) Help() string {
	return `Example:

  $ stile settings set --brand 'Our VPN' --support-url mailto:help@example.net --sign-up invitation`
}

// Help is shown by --help.
func (*AuditVerifyCmd) Help() string {
	return `Note the head that it prints somewhere else, and give it to a later call: that also notices that the end was cut off.

Example:

  $ stile audit verify --head c5f06eb2c092c4d43fe2fed0869cbac24bf673ff2f879149a7e647ab7136765d`
}

// Help is shown by --help.
func (*ImportLaravelCmd) Help() string {
	return `Example:

  $ stile import laravel --from dump.sql.gz --plan standard
  $ stile import laravel --from dump.sql.gz --plan standard --apply`
}

// Help is shown by --help.
func (*RestoreCmd) Help() string {
	return `Stop every 'stile serve' of the database first. Keys that were revoked since the backup stay dead: nodes give back what
they know.

Example:

  $ stile restore copy.db
  $ stile restore --database postgres://stile@localhost/stile`
}
