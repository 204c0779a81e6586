//! The layouts: what is printed on the keys, in four rows from the top, plain, with Shift, with AltGr; a space stands for
//! nothing. Dead keys type their accent alone, because a password screen shows no half-typed letters.
//!
//! Facts from xkeyboard-config (freedesktop.org) 2.35, for PC keyboards with 105 keys and the two more of Brazil and Japan.

use super::Layout;

/// By their country; the first is what the kernel has by itself.
pub(super) static LAYOUTS: &[Layout] = &[
    Layout {
        name: "us",
        title: "US English",
        rows: [
            ["`1234567890-=", "~!@#$%^&*()_+", "             "],
            ["qwertyuiop[]", "QWERTYUIOP{}", "            "],
            ["asdfghjkl;'\\", "ASDFGHJKL:\"|", "            "],
            ["<zxcvbnm,./  ", ">ZXCVBNM<>?  ", "|            "],
        ],
    },
    Layout {
        name: "gb",
        title: "British",
        rows: [
            ["`1234567890-=", "¬!\"£$%^&*()_+", "|¹²³€½¾{[]}\\¸"],
            ["qwertyuiop[]", "QWERTYUIOP{}", "@  ¶    øþ¨~"],
            ["asdfghjkl;'#", "ASDFGHJKL:@~", "æßð     ł´^`"],
            ["\\zxcvbnm,./  ", "|ZXCVBNM<>?  ", " «»¢   µ ·   "],
        ],
    },
    Layout {
        name: "de",
        title: "German",
        rows: [
            ["^1234567890ß'", "°!\"§$%&/()=?`", "¬¹²³¼½¬{[]}\\¸"],
            ["qwertzuiopü+", "QWERTZUIOPÜ*", "@ €¶    øþ¨~"],
            ["asdfghjklöä#", "ASDFGHJKLÖÄ'", "æ ð     ł˝^ "],
            ["<yxcvbnm,.-  ", ">YXCVBNM;:_  ", "|»«¢   µ·    "],
        ],
    },
    Layout {
        name: "fr",
        title: "French",
        rows: [
            ["²&é\"'(-è_çà)=", "~1234567890°+", "¬¹~#{[|`\\^@]}"],
            ["azertyuiop^$", "AZERTYUIOP¨£", "æ«€¶    øþ ¤"],
            ["qsdfghjklmù*", "QSDFGHJKLM%µ", "@ßð     łµ^`"],
            ["<wxcvbn,;:!  ", ">WXCVBN?./§  ", "|ł»¢   ´ ·   "],
        ],
    },
    Layout {
        name: "es",
        title: "Spanish",
        rows: [
            ["º1234567890'¡", "ª!\"·$%&/()=?¿", "\\|@#~½¬{[]}\\¸"],
            ["qwertyuiop`+", "QWERTYUIOP^*", "@ €¶    øþ[]"],
            ["asdfghjklñ´ç", "ASDFGHJKLÑ¨Ç", "æßð     ł~{}"],
            ["<zxcvbnm,.-  ", ">ZXCVBNM;:_  ", "|«»¢   µ ·   "],
        ],
    },
    Layout {
        name: "it",
        title: "Italian",
        rows: [
            ["\\1234567890'ì", "|!\"£$%&/()=?^", "¬¹²³¼½¬{[]}`~"],
            ["qwertyuiopè+", "QWERTYUIOPé*", "@ €¶    øþ[]"],
            ["asdfghjklòàù", "ASDFGHJKLç°§", "æßð     ł@#`"],
            ["<zxcvbnm,.-  ", ">ZXCVBNM;:_  ", "««»¢  ñµ´·¯  "],
        ],
    },
    Layout {
        name: "pt",
        title: "Portuguese",
        rows: [
            ["\\1234567890'«", "|!\"#$%&/()=?»", "¬¹@£§½¬{[]}\\¸"],
            ["qwertyuiop+´", "QWERTYUIOP*`", "@ €¶    øþ¨~"],
            ["asdfghjklçº~", "ASDFGHJKLÇª^", "æßð     ł´^`"],
            ["<zxcvbnm,.-  ", ">ZXCVBNM;:_  ", "\\«»¢   µ ·   "],
        ],
    },
    Layout {
        name: "br",
        title: "Brazilian",
        rows: [
            ["'1234567890-=", "\"!@#$%¨&*()_+", "¬¹²³£¢¬{[]}\\§"],
            ["qwertyuiop´[", "QWERTYUIOP`{", "/?°®    øþ'ª"],
            ["asdfghjklç~]", "ASDFGHJKLÇ^}", "æßð     ł´ º"],
            ["\\zxcvbnm,.;/ ", "|ZXCVBNM<>:? ", " «»©   µ · ° "],
        ],
    },
    Layout {
        name: "se",
        title: "Swedish",
        rows: [
            ["§1234567890+´", "½!\"#¤%&/()=?`", "¶¡@£$€¥{[]}\\±"],
            ["qwertyuiopå¨", "QWERTYUIOPÅ^", "@ €®þ    þ¨~"],
            ["asdfghjklöä'", "ASDFGHJKLÖÄ*", "ªßð     łøæ "],
            ["<zxcvbnm,.-  ", ">ZXCVBNM;:_  ", "|«»©   µ¸·   "],
        ],
    },
    Layout {
        name: "fi",
        title: "Finnish",
        rows: [
            ["§1234567890+´", "½!\"#¤%&/()=?`", "¶¡@£$€¥{[]}\\±"],
            ["qwertyuiopå¨", "QWERTYUIOPÅ^", "@ €®þ    þ¨~"],
            ["asdfghjklöä'", "ASDFGHJKLÖÄ*", "ªßð     łøæ "],
            ["<zxcvbnm,.-  ", ">ZXCVBNM;:_  ", "|«»©   µ¸·   "],
        ],
    },
    Layout {
        name: "dk",
        title: "Danish",
        rows: [
            ["½1234567890+´", "§!\"#¤%&/()=?`", "¾¡@£$½¥{[]}±|"],
            ["qwertyuiopå¨", "QWERTYUIOPÅ^", "@ €®þ    þ¨~"],
            ["asdfghjklæø'", "ASDFGHJKLÆØ*", "ªßð     ł´^ "],
            ["<zxcvbnm,.-  ", ">ZXCVBNM;:_  ", "\\«»©   µ¸·   "],
        ],
    },
    Layout {
        name: "no",
        title: "Norwegian",
        rows: [
            ["|1234567890+\\", "§!\"#¤%&/()=?`", "¦¡@£$½¥{[]}±´"],
            ["qwertyuiopå¨", "QWERTYUIOPÅ^", "@ €®þ     ¨~"],
            ["asdfghjkløæ'", "ASDFGHJKLØÆ*", "ªßð     ł´^ "],
            ["<zxcvbnm,.-  ", ">ZXCVBNM;:_  ", "½«»©   µ¸    "],
        ],
    },
    Layout {
        name: "ch",
        title: "Swiss German",
        rows: [
            ["§1234567890'^", "°+\"*ç%&/()=?`", "¬|@#¼½¬|¢]}´~"],
            ["qwertzuiopü¨", "QWERTZUIOPè!", "@ €¶     þ[]"],
            ["asdfghjklöä$", "ASDFGHJKLéà£", "æßð     ł´{}"],
            ["<yxcvbnm,.-  ", ">YXCVBNM;:_  ", "\\«»¢   µ ·   "],
        ],
    },
    Layout {
        name: "ch-fr",
        title: "Swiss French",
        rows: [
            ["§1234567890'^", "°+\"*ç%&/()=?`", "¬|@#¼½¬|¢]}´~"],
            ["qwertzuiopè¨", "QWERTZUIOPü!", "@ €¶     þ[]"],
            ["asdfghjkléà$", "ASDFGHJKLöä£", "æßð     ł´{}"],
            ["<yxcvbnm,.-  ", ">YXCVBNM;:_  ", "\\«»¢   µ ·   "],
        ],
    },
    Layout {
        name: "be",
        title: "Belgian",
        rows: [
            ["²&é\"'(§è!çà)-", "³1234567890°_", "¬|@#¼½^{[{}\\¸"],
            ["azertyuiop^$", "AZERTYUIOP¨*", "@ €¶     þ[]"],
            ["qsdfghjklmùµ", "QSDFGHJKLM%£", "æßð     ł´´`"],
            ["<wxcvbn,;:=  ", ">WXCVBN?./+  ", "\\«»¢   ¸ ·~  "],
        ],
    },
    Layout {
        name: "nl",
        title: "Dutch",
        rows: [
            ["@1234567890/°", "§!\"#$%&_()'?~", "¬¹²³¼½¾£{}°\\¸"],
            ["qwertyuiop¨*", "QWERTYUIOP^|", "@ €¶þÿüïò¶~~"],
            ["asdfghjkl+´<", "ASDFGHJKL±`>", "áßðª    ł´'`"],
            ["]zxcvbnm,.-  ", "[ZXCVBNM;:=  ", "|«»¢  ñ ¸·   "],
        ],
    },
    Layout {
        name: "ca",
        title: "Canadian French",
        rows: [
            ["#1234567890-=", "|!\"/$%?&*()_+", "\\±@£¢¤¬¦²³¼½¾"],
            ["qwertyuiop^¸", "QWERTYUIOP^¨", "        §¶[]"],
            ["asdfghjkl;`<", "ASDFGHJKL:`>", "         ~{}"],
            ["«zxcvbnm,.é  ", "»ZXCVBNM'.É  ", "°      µ¯ ´  "],
        ],
    },
    Layout {
        name: "latam",
        title: "Latin American",
        rows: [
            ["|1234567890'¿", "°!\"#$%&/()=?¡", "¬|@·~½¬{[]}\\¸"],
            ["qwertyuiop´+", "QWERTYUIOP¨*", "@ €¶    øþ ~"],
            ["asdfghjklñ{}", "ASDFGHJKLÑ[]", "æßð     ł~^`"],
            ["<zxcvbnm,.-  ", ">ZXCVBNM;:_  ", "\\«»¢   µ ·   "],
        ],
    },
    Layout {
        name: "pl",
        title: "Polish",
        rows: [
            ["`1234567890-=", "~!@#$%^&*()_+", "¬ ²³¢€½§·«» ¸"],
            ["qwertyuiop[]", "QWERTYUIOP{}", "  ę©ß   óþ¨~"],
            ["asdfghjkl;'\\", "ASDFGHJKL:\"|", "ąśðæ    ł´^`"],
            ["<zxcvbnm,./  ", ">ZXCVBNM<>?  ", "|żźć  ńµ     "],
        ],
    },
    Layout {
        name: "cz",
        title: "Czech",
        rows: [
            [";+ěščřžýáíé=´", "°1234567890% ", "`!@#$%^&*{}\\¯"],
            ["qwertzuiopú)", "QWERTZUIOP/(", "\\|€¶    øþ[]"],
            ["asdfghjklů§¨", "ASDFGHJKL\"!'", "~  []`'łŁ$'\\"],
            ["\\yxcvbnm,.-  ", "|YXCVBNM?:_  ", "/°#&@{}^<>*  "],
        ],
    },
    Layout {
        name: "hu",
        title: "Hungarian",
        rows: [
            ["0123456789öüó", "§'\"+!%/=()ÖÜÓ", "¬~ ^ ° `˙´ ¨¸"],
            ["qwertzuiopőú", "QWERTZUIOPŐÚ", "\\|Ä¶  €Í  ÷×"],
            ["asdfghjkléáű", "ASDFGHJKLÉÁŰ", "ä  [] íłŁ$ß¤"],
            ["íyxcvbnm,.-  ", "ÍYXCVBNM?:_  ", "<>#&@{}<;>*  "],
        ],
    },
    Layout {
        name: "tr",
        title: "Turkish",
        rows: [
            ["\"1234567890*-", "é!'^+%&/()=?_", "<>£#$½¾{[]}\\|"],
            ["qwertyuıopğü", "QWERTYUIOPĞÜ", "@ €¶  ûîô ¨~"],
            ["asdfghjklşi,", "ASDFGHJKLŞİ;", "âß ª     ''`"],
            ["<zxcvbnmöç.  ", ">ZXCVBNMÖÇ:  ", "|«»¢   µ×·˙  "],
        ],
    },
    Layout {
        name: "jp",
        title: "Japanese",
        rows: [
            [" 1234567890-^", " !\"#$%&'()~=~", "             "],
            ["qwertyuiop@[", "QWERTYUIOP`{", "            "],
            ["asdfghjkl;:]", "ASDFGHJKL+*}", "            "],
            ["<zxcvbnm,./\\\\", ">ZXCVBNM<>?_|", "|            "],
        ],
    },
];
