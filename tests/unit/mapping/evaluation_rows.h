// SPDX-License-Identifier: Apache-2.0
#pragma once
// The acceptance checks of access-control.md 11.1: source text of the tables (the probed one is PROBED), input flags, probe, result.

namespace postern::test {

struct EvaluationRow {
  int number;
  const char* source;
  const char* input;
  const char* probe;
  const char* want;
};

// clang-format off
inline const EvaluationRow kEvaluationRows[] = {
    {1, R"~(PROBED

  host%  ok
)~", "", R"~(hostA)~", R"~(OUT=ok;FLAGS=-)~"},
    {2, R"~(PROBED

  host%  ok
)~", "", R"~(host)~", R"~(NOMATCH)~"},
    {3, R"~(PROBED

  host%  ok
)~", "", R"~(hostAB)~", R"~(NOMATCH)~"},
    {4, R"~(PROBED

  host*  [$0]
)~", "", R"~(host)~", R"~(OUT=[];FLAGS=-)~"},
    {5, R"~(PROBED

  *:*  $0/$1
)~", "", R"~(p:q:r)~", R"~(OUT=p:q/r;FLAGS=-)~"},
    {6, R"~(PROBED

  $_*:*  $0/$1
)~", "", R"~(p:q:r)~", R"~(OUT=p/q:r;FLAGS=-)~"},
    {7, R"~(PROBED

  *:$_*:*  $0/$1/$2
)~", "", R"~(a:b:c:d)~", R"~(OUT=a:b/c/d;FLAGS=-)~"},
    {8, R"~(PROBED

  %%*  $2$1$0
)~", "", R"~(xyz)~", R"~(OUT=zyx;FLAGS=-)~"},
    {9, R"~(PROBED

  ABC@Example.COM  hit
)~", "", R"~(abc@EXAMPLE.com)~", R"~(OUT=hit;FLAGS=-)~"},
    {10, R"~(PROBED

  U:*  $0
)~", "", R"~(u:MixedCase)~", R"~(OUT=MixedCase;FLAGS=-)~"},
    {11, R"~(PROBED

  a$*b  star
)~", "", R"~(a*b)~", R"~(OUT=star;FLAGS=-)~"},
    {12, R"~(PROBED

  a$*b  star
)~", "", R"~(axxb)~", R"~(NOMATCH)~"},
    {13, R"~(PROBED

  5$%  pct
)~", "", R"~(5%)~", R"~(OUT=pct;FLAGS=-)~"},
    {14, R"~(PROBED

  cost$$*  $0$$
)~", "", R"~(cost$9)~", R"~(OUT=9$;FLAGS=-)~"},
    {15, R"~(PROBED

  a$ b  c$ d
)~", "", R"~(a b)~", R"~(OUT=c d;FLAGS=-)~"},
    {16, R"~(PROBED

  "*" (*)  x
)~", "", R"~("q" (z))~", R"~(compile error E05)~"},
    {17, R"~(PROBED

  "*"$ (*)  $1/$0
)~", "", R"~("q" (z))~", R"~(OUT=z/q;FLAGS=-)~"},
    {18, R"~(PROBED

  id$D*  $0
)~", "", R"~(id0427)~", R"~(OUT=0427;FLAGS=-)~"},
    {19, R"~(PROBED

  id$D*  $0
)~", "", R"~(id04x)~", R"~(NOMATCH)~"},
    {20, R"~(PROBED

  id$D*  <$0>
)~", "", R"~(id)~", R"~(OUT=<>;FLAGS=-)~"},
    {21, R"~(PROBED

  id$D%  n$0
)~", "", R"~(id)~", R"~(NOMATCH)~"},
    {22, R"~(PROBED

  $B*  bin
)~", "", R"~(10110)~", R"~(OUT=bin;FLAGS=-)~"},
    {23, R"~(PROBED

  $B*  bin
)~", "", R"~(10120)~", R"~(NOMATCH)~"},
    {24, R"~(PROBED

  $O*  oct
)~", "", R"~(0778)~", R"~(NOMATCH)~"},
    {25, R"~(PROBED

  0x$H*  $0
)~", "", R"~(0xBEEF)~", R"~(OUT=BEEF;FLAGS=-)~"},
    {26, R"~(PROBED

  0x$X*  $0
)~", "", R"~(0xC0DE)~", R"~(OUT=C0DE;FLAGS=-)~"},
    {27, R"~(PROBED

  0x$H%  $0
)~", "", R"~(0xf)~", R"~(OUT=f;FLAGS=-)~"},
    {28, R"~(PROBED

  $A*$D*  $1$0
)~", "", R"~(abc42)~", R"~(OUT=42abc;FLAGS=-)~"},
    {29, R"~(PROBED

  $S*  sym
)~", "", R"~(a_B$9)~", R"~(OUT=sym;FLAGS=-)~"},
    {30, R"~(PROBED

  $S*  sym
)~", "", R"~(a-b)~", R"~(NOMATCH)~"},
    {31, R"~(PROBED

  k:$T*v*  $1
)~", "", R"~(k: 	v9)~", R"~(OUT=9;FLAGS=-)~"},
    {32, R"~(PROBED

  $[xyz]%  $0
)~", "", R"~(y)~", R"~(OUT=y;FLAGS=-)~"},
    {33, R"~(PROBED

  $[xyz]%  $0
)~", "", R"~(w)~", R"~(NOMATCH)~"},
    {34, R"~(PROBED

  $[c-f]*  $0
)~", "", R"~(deface)~", R"~(NOMATCH)~"},
    {35, R"~(PROBED

  $[a-f]*.  $0
)~", "", R"~(deface.)~", R"~(OUT=deface;FLAGS=-)~"},
    {36, R"~(PROBED

  $[a\-z]*  $0
)~", "", R"~(z-a)~", R"~(OUT=z-a;FLAGS=-)~"},
    {37, R"~(PROBED

  $[a\-z]*  $0
)~", "", R"~(b)~", R"~(NOMATCH)~"},
    {38, R"~(PROBED

  $[\]]%  rb
)~", "", R"~(])~", R"~(OUT=rb;FLAGS=-)~"},
    {39, R"~(PROBED

  $[0-9a-c]*  $0
)~", "", R"~(9ca)~", R"~(OUT=9ca;FLAGS=-)~"},
    {40, R"~(PROBED

  $D*$D%  $0,$1
)~", "", R"~(123)~", R"~(OUT=12,3;FLAGS=-)~"},
    {41, R"~(PROBED

  *=$0*  same
)~", "", R"~(k=k)~", R"~(OUT=same;FLAGS=-)~"},
    {42, R"~(PROBED

  *=$0*  same
)~", "", R"~(k=j)~", R"~(NOMATCH)~"},
    {43, R"~(PROBED

  *=$0*;*  $1,$2
)~", "", R"~(k=k;z)~", R"~(OUT=k,z;FLAGS=-)~"},
    {44, R"~(PROBED

  *=$@0*;*  $1
)~", "", R"~(k=k;z)~", R"~(OUT=z;FLAGS=-)~"},
    {45, R"~(PROBED

  $@*|*  $0
)~", "", R"~(x|y)~", R"~(OUT=y;FLAGS=-)~"},
    {46, R"~(PROBED

  $(192.0.2.0/24)  in
)~", "", R"~(192.0.2.200)~", R"~(OUT=in;FLAGS=-)~"},
    {47, R"~(PROBED

  $(192.0.2.0/24)  in
)~", "", R"~(192.0.3.1)~", R"~(NOMATCH)~"},
    {48, R"~(PROBED

  $(192.0.2.16/28)  in
)~", "", R"~(192.0.2.31)~", R"~(OUT=in;FLAGS=-)~"},
    {49, R"~(PROBED

  $(192.0.2.16/28)  in
)~", "", R"~(192.0.2.32)~", R"~(NOMATCH)~"},
    {50, R"~(PROBED

  $(192.0.2.7)  in
)~", "", R"~(192.0.2.7)~", R"~(OUT=in;FLAGS=-)~"},
    {51, R"~(PROBED

  $<192.0.2.0/8>  in
)~", "", R"~(192.0.2.77)~", R"~(OUT=in;FLAGS=-)~"},
    {52, R"~(PROBED

  $<192.0.2.8/3>  in
)~", "", R"~(192.0.2.15)~", R"~(OUT=in;FLAGS=-)~"},
    {53, R"~(PROBED

  $<192.0.2.8/3>  in
)~", "", R"~(192.0.2.16)~", R"~(NOMATCH)~"},
    {54, R"~(PROBED

  $(192.0.2.0/24)|*  $1
)~", "", R"~(192.0.2.5|tail)~", R"~(OUT=tail;FLAGS=-)~"},
    {55, R"~(PROBED

  ${2001:db8::/32}  six
)~", "", R"~(2001:db8:0:1::5)~", R"~(OUT=six;FLAGS=-)~"},
    {56, R"~(PROBED

  *@*  $1!$0
)~", "", R"~(u1@example.net)~", R"~(OUT=example.net!u1;FLAGS=-)~"},
    {57, R"~(PROBED

  *  $^$0$_-$0
)~", "", R"~(abC)~", R"~(OUT=ABC-abC;FLAGS=-)~"},
    {58, R"~(PROBED

  *  $\$0
)~", "", R"~(ABC)~", R"~(OUT=abc;FLAGS=-)~"},
    {59, R"~(PROBED

  *  $^ab$0
)~", "", R"~(cd)~", R"~(OUT=ABCD;FLAGS=-)~"},
    {60, R"~(PROBED

  *  $NGo$ away
)~", "", R"~(x)~", R"~(OUT=Go away;FLAGS=N)~"},
    {61, R"~(PROBED

  *  text$Y$H
)~", "", R"~(x)~", R"~(OUT=text;FLAGS=HY)~"},
    {62, R"~(PROBED

  a*  1
  *  2
)~", "", R"~(ab)~", R"~(OUT=1;FLAGS=-)~"},
    {63, R"~(PROBED

  a*  1
  *  2
)~", "", R"~(zz)~", R"~(OUT=2;FLAGS=-)~"},
    {64, R"~(PROBED

  a*  1
)~", "", R"~(zz)~", R"~(NOMATCH)~"},
    {65, R"~(PROBED

  *@old.example.com  $0@example.com$C
  *@example.com  <$0>$Y
)~", "", R"~(u@old.example.com)~", R"~(OUT=<u>;FLAGS=Y)~"},
    {66, R"~(PROBED

  *@old.example.com  $0@example.com$C
  nothing  x
)~", "", R"~(u@old.example.com)~", R"~(OUT=u@example.com;FLAGS=-)~"},
    {67, R"~(PROBED

  b*  c$0
  a*  b$0$C
)~", "", R"~(a1)~", R"~(OUT=b1;FLAGS=-)~"},
    {68, R"~(PROBED

  b*  c$0
  a*  b$0$L
)~", "", R"~(a1)~", R"~(OUT=c1;FLAGS=-)~"},
    {69, R"~(PROBED

  b*  c$0
  a*  b$0$R
)~", "", R"~(a1)~", R"~(OUT=c1;FLAGS=-)~"},
    {70, R"~(PROBED

  *==*  $0=$1$R
)~", "", R"~(a=====b)~", R"~(OUT=a=b;FLAGS=-)~"},
    {71, R"~(PROBED

  *  $0$C$E
  *  no
)~", "", R"~(x)~", R"~(OUT=x;FLAGS=-)~"},
    {72, R"~(PROBED

  *  z$0$R
)~", "", R"~(a)~", R"~(OUT=zzzzzzzzzzza;FLAGS=-)~"},
    {73, R"~(PROBED

  *  lost$?0?$N
  *  never
)~", "", R"~(in)~", R"~(OUT=in;FLAGS=-)~"},
    {74, R"~(PROBED

  *  lost$C$?0?$N
  *  next$Y
)~", "", R"~(in)~", R"~(OUT=next;FLAGS=Y)~"},
    {75, R"~(PROBED

  *  $?0?$C
  *  next
)~", "", R"~(in)~", R"~(OUT=in;FLAGS=-)~"},
    {76, R"~(PROBED

  *  kept$?100?$Y
)~", "", R"~(in)~", R"~(OUT=kept;FLAGS=Y)~"},
    {77, R"~(PROBED

  *  $C$?100?one$Y$E
  *  two
)~", "", R"~(in)~", R"~(OUT=one;FLAGS=Y)~"},
    {78, R"~(PROBED

  *  $N$?0?
)~", "", R"~(in)~", R"~(OUT=in;FLAGS=-)~"},
    {79, R"~(PROBED

  *  a$C$Y
  *  b$N
)~", "", R"~(x)~", R"~(OUT=b;FLAGS=NY)~"},
    {80, R"~(PROBED

  *  $C$:Ayes$Y$E
  *  no
)~", "", R"~(x)~", R"~(OUT=no;FLAGS=-)~"},
    {81, R"~(PROBED

  *  $C$:Ayes$Y$E
  *  no
)~", "A", R"~(x)~", R"~(OUT=yes;FLAGS=Y)~"},
    {82, R"~(PROBED

  *  $C$;Tplain$Y$E
  *  tls
)~", "T", R"~(x)~", R"~(OUT=tls;FLAGS=-)~"},
    {83, R"~(PROBED

  *  $:Ayes
  *  no
)~", "", R"~(x)~", R"~(OUT=x;FLAGS=-)~"},
    {84, R"~(PROBED

  *  <$|SUB;$0|>

SUB

  192.0.2.*  n$0$Y
  x*  y$0
  *  $N
)~", "", R"~(192.0.2.4)~", R"~(OUT=<n4>;FLAGS=-)~"},
    {85, R"~(PROBED

  *  <$|SUB;$0|>

SUB

  192.0.2.*  n$0$Y
  x*  y$0
  *  $N
)~", "", R"~(xz)~", R"~(OUT=xz;FLAGS=-)~"},
    {86, R"~(PROBED

  *  $C$|SUB;$0|$Y$E
  *  $Nout

SUB

  192.0.2.*  n$0$Y
  x*  y$0
  *  $N
)~", "", R"~(203.0.113.9)~", R"~(OUT=out;FLAGS=N)~"},
    {87, R"~(PROBED

  *  $C$|NOSUCH;$0|$Y$E
  *  fallback
)~", "", R"~(q)~", R"~(OUT=fallback;FLAGS=-)~"},
    {88, R"~(PROBED

  *  <${k1}>
)~", "", R"~(q)~", R"~(OUT=q;FLAGS=-)~"},
    {89, R"~(PROBED

  *|*|*|*|*  $C$|INTERNAL_IP;$3|$Y$E
  TCP|*|25|203.0.113.*|*  $N421$ no$ service$ for$ you
  *  $YEXTERNAL

INTERNAL_IP

  $(192.0.2.0/24)  $Y
  127.0.0.1  $Y
  *  $N
)~", "", R"~(TCP|192.0.2.1|25|192.0.2.50|3999)~", R"~(OUT=;FLAGS=Y)~"},
    {90, R"~(PROBED

  *|*|*|*|*  $C$|INTERNAL_IP;$3|$Y$E
  TCP|*|25|203.0.113.*|*  $N421$ no$ service$ for$ you
  *  $YEXTERNAL

INTERNAL_IP

  $(192.0.2.0/24)  $Y
  127.0.0.1  $Y
  *  $N
)~", "", R"~(TCP|192.0.2.1|25|203.0.113.8|3999)~", R"~(OUT=421 no service for you;FLAGS=N)~"},
    {91, R"~(PROBED

  *|*|*|*|*  $C$|INTERNAL_IP;$3|$Y$E
  TCP|*|25|203.0.113.*|*  $N421$ no$ service$ for$ you
  *  $YEXTERNAL

INTERNAL_IP

  $(192.0.2.0/24)  $Y
  127.0.0.1  $Y
  *  $N
)~", "", R"~(TCP|192.0.2.1|25|198.51.100.3|3999)~", R"~(OUT=EXTERNAL;FLAGS=Y)~"},
    {92, R"~(PROBED

  tcp_local|*@partner.example.net|tcp_local|*  $Y
  tcp_local|*|tcp_local|*  $N$D30|No$ open$ relay
)~", "", R"~(tcp_local|a@example.org|tcp_local|b@example.net)~", R"~(OUT=30|No open relay;FLAGS=DN)~"},
    {93, R"~(PROBED

  tcp_local|*@partner.example.net|tcp_local|*  $Y
  tcp_local|*|tcp_local|*  $N$D30|No$ open$ relay
)~", "", R"~(tcp_local|a@partner.example.net|tcp_local|b@example.net)~", R"~(OUT=;FLAGS=Y)~"},
    {94, R"~(PROBED

  tcp_local|*@partner.example.net|tcp_local|*  $Y
  tcp_local|*|tcp_local|*  $N$D30|No$ open$ relay
)~", "", R"~(tcp_local|a@example.org|l|b@example.com)~", R"~(NOMATCH)~"},
    {95, R"~(PROBED

  tcp_local|*@partner.example.net|tcp_local|*  $Y
  tcp_local|*|tcp_local|*  $N$D30|No$ open$ relay
)~", "", R"~(tcp_auth|a@example.com|tcp_local|b@example.net)~", R"~(NOMATCH)~"},
    {96, R"~(PROBED

  IN-CHAN=tcp_local;OUT-CHAN=*;CONVERT  Yes
  *  No
)~", "", R"~(IN-CHAN=tcp_local;OUT-CHAN=ims-ms;CONVERT)~", R"~(OUT=Yes;FLAGS=-)~"},
};
// clang-format on

}  // namespace postern::test
