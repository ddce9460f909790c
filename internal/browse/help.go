package browse

// keyHelp is what ? shows.
const keyHelp = `moving
  j k, arrows      a line
  ctrl-d ctrl-u    half a screen
  space b          a screen
  g G              first, last
  Tab, 1 2 3       hosts, causes, groups
  Enter, l         open
  q, h, Esc        back, and q leaves

finding, by regular expressions
  /TEXT            search
  n N              next, previous
  &TEXT            list what matches
  & and Enter      list all again
  i                only what is in flight,
                   the oldest first
  Enter            on a cause or a group:
                   list its hosts
  Esc              list all again

choosing hosts
  v                mark and go down
  *                mark all that is listed
  u                unmark all

one host
  Enter            its output, which grows
  o                the same in $PAGER
  d                how it differs from most

an output
  F                follow its end
  w                fold or chop lines
  h l, arrows      to the sides

groups
  d                compare with reference
  =                make it the reference
  M                masks, or every byte
  R                group again

copying
  y                names, or what is open
  m                the mouse: browser's, or
                   the terminal's

a run that goes on
  + -              double, halve the width
  p                pause, go on
  x                cancel what is chosen
  X, ctrl-c        start nothing more;
                   ctrl-c twice aborts
  ctrl-z           suspend

a run that has ended
  r                run the command again
                   on what is chosen
`
