require "vacation";
vacation :mime text:
Content-Type: multipart/alternative; boundary=b

--b
Content-Type: text/plain

away
--b
Content-Type: text/html

<p>away</p>
--b--
.
;
