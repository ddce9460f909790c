// Package placeholder expands the placeholders of a run's command for each target. Call
// [Parse] once, then [Template.Expand] for every target.
//
// # Placeholders
//
//	{host}   the host's name as it was written, without user and port
//	{user}   the login name
//	{port}   the TCP port, 22 if none was given
//	{index}  the index of the target in the run, from 0
//	{attr.X} the host's attribute X in the inventory, always quoted;
//	         a host without it is not tried
//
// With the filter sh the value is quoted: {host|sh} gives 'node1', one word that means the
// same to sh, bash, dash, ksh, zsh, csh, tcsh and fish. A host whose value has a newline,
// which cannot be quoted for csh, is not tried. Within quotes of the command, where the
// value may be for a shell within the shell, it is inserted as it is, and a host whose value
// has any but plain characters (letters, digits, _-.,:/@%+=) is not tried. Without the
// filter the value is inserted unchanged.
//
// # Which braces are placeholders
//
// A placeholder is replaced where it stands outside quotes, and with |sh everywhere, unless
// $, { or \ stands directly before it. Every other text is sent as it is typed, byte for
// byte:
//
//	echo hello world {index}           a placeholder
//	awk '{print}'                      no placeholder has this name
//	jq '{host}'   jq "{host}"          quoted; a notice says so
//	ssh gate 'ping -c1 '{host|sh}      asked for
//	docker ps --format '{{.Names}}'    never changed
//	echo ${host} {a,b} \{host}         never changed
//
// Quotes are read as a POSIX shell reads them: '…', "…" in which \ protects the next byte, and
// \ outside quotes; what "$(…)" encloses is within quotes. After a comment, a here document
// or $'…', a backslash before the end of quotes or a line break within them, which some
// shells read otherwise, and substitutions within double quotes that have quotes of another kind, a quoted value must
// be plain as within quotes, and so in `…`, $((…)) and $[…]. [Everywhere] replaces placeholders within
// quotes too, and [Never] none. [Template.Notices] says what stayed as it was typed although
// it looks like a placeholder.
//
// # What is sent
//
// The result is sent as the command of the exec request (RFC 4254 §6.5), which servers
// pass to the user's login shell. A command may have several lines and is then a script
// for that shell. Nothing is added: no other shell is started, and quoting for other
// shells (PowerShell) is the user's task.
package placeholder
