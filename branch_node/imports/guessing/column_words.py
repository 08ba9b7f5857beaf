"""What the names of columns and the texts of kinds mean, in the languages that tills speak. Pure.

English, German, French, Spanish, Italian, Portuguese, Dutch, Arabic; compared without capitals and accents.
"""

from __future__ import annotations

import re
from typing import Final

from branch_node.imports.cells.month_names import folded
from shared.events import EventType

_WORDS: Final = {
    "date": "date dates datum tag day fecha dia data giorno dag jour تاريخ يوم",
    "time": "time uhrzeit zeit heure hora ora tijd hour وقت ساعه ساعة",
    "moment": "datetime timestamp ts unix epoch zeitpunkt zeitstempel horodatage datumzeit created occurred at when",
    "item": "item items article articles artikel sku plu barcode ean gtin upc product products produkt produit "
    "articulo producto articolo prodotto artigo produto stockcode artikelnummer artikelnr artnr ware good goods "
    "صنف منتج باركود ماده مادة",
    "barcode": "barcode ean ean13 gtin upc strichcode باركود",
    "code": "code no nr num number nummer numero sku plu id ref codigo codice artikelnummer "
    "artikelnr artnr stockcode "
    "رمز رقم كود",
    "quantity": "quantity quantities qty qte menge anzahl stuck stueck stuckzahl quantite cantidad cant unidades "
    "quantita qta quantidade qtd qtde aantal hoeveelheid sold pieces pcs verkauft كميه كمية عدد",
    "unit": "unit uom einheit mengeneinheit me unite unidad unita unidade eenheid وحده وحدة",
    "price": "price preis einzelpreis verkaufspreis stuckpreis prix pu precio prezzo preco prijs سعر",
    "cost": "cost costs kosten einkaufspreis ek cout costo coste custo kostprijs inkoopprijs wareneinsatz تكلفه تكلفة",
    "amount": "amount total subtotal betrag summe umsatz gesamt gesamtpreis montant importe importo "
    "valor bedrag totaal "
    "revenue net gross netto brutto tax vat mwst ust tva iva btw discount rabatt remise sum مبلغ اجمالي مجموع",
    "id": "id uuid guid rowid lineid key position pos line lines row zeile belegzeile detail "
    "details ligne linea riga "
    "linha regel transaction transactionid buchung buchungsnummer سطر معرف",
    "reference": "receipt order invoice bon bonnr belegnr beleg belegnummer rechnung bestellung "
    "rechnungsnummer ticket "
    "commande facture recu recibo pedido factura scontrino ordine fattura encomenda fatura kassabon "
    "factuur bestelling "
    "check bill invoiceno orderid receiptno فاتوره فاتورة طلب ايصال إيصال",
    "kind": "type typ kind art vorgang vorgangsart transactiontype buchungsart bewegungsart "
    "movement status operation "
    "tipo soort event action نوع حاله حالة",
    "reason": "reason grund raison motif motivo razon reden سبب",
    "note": "note notes remark comment comments bemerkung kommentar notiz remarque nota observacion "
    "commentaire opmerking "
    "ملاحظه ملاحظة ملاحظات",
    "actor": "cashier kassierer bediener user employee staff mitarbeiter caissier vendeur cajero cassiere operador "
    "operator clerk server medewerker seller verkaufer كاشير بائع موظف",
    "lot": "lot batch charge chargennummer lote lotto partij دفعه دفعة",
    "expires_on": "expiry expires expiration bestbefore best before mhd ablauf ablaufdatum verfall "
    "peremption dlc caducidad "
    "vencimiento scadenza validade houdbaar tht انتهاء صلاحيه صلاحية",
    "currency": "currency wahrung waehrung devise monnaie moneda divisa valuta moeda عمله عملة",
    "name": "name description desc bezeichnung libelle designation descripcion nombre descrizione nome descricao "
    "omschrijving naam artikelname artikelbezeichnung title اسم وصف",
    "category": "category kategorie warengruppe categorie famille categoria gruppo groep group department فئه فئة",
    "store": "store branch shop outlet location filiale markt magasin boutique tienda sucursal negozio loja winkel "
    "filiaal فرع متجر",
    "party": "country land pays pais customer kunde client cliente klant customerid region city "
    "stadt supplier lieferant "
    "عميل زبون",
    "till": "till register terminal kasse caisse caja cassa caixa kassa pos صندوق",
}
WORDS: Final = {field: frozenset(map(folded, words.split())) for field, words in _WORDS.items()}
"""Field -> the words, folded, that name it."""

_SALE: Final = "sale sales sell sold verkauf vente venta vendita venda verkoop order بيع مبيعات"
_RETURN: Final = (
    "refund refunds return returned returns retoure rueckgabe ruckgabe storno gutschrift retour "
    "avoir annulation remboursement "
    "devolucion reso rimborso devolucao terugbetaling void voided cancel cancelled canceled مرتجع ارجاع إرجاع استرجاع"
)
_WASTE: Final = (
    "waste wasted spoilage spoiled spoilt loss breakage abfall bruch verderb schwund verlust perte "
    "casse merma desperdicio "
    "scarto spreco perda desperdicio afval verspilling damaged expired هدر تالف"
)
_PURCHASE: Final = (
    "purchase delivery received receiving goodsreceipt wareneingang lieferung livraison reception "
    "compra entrega acquisto "
    "consegna inkoop levering شراء توريد"
)
_COUNT: Final = "stocktake count inventory inventur inventaire inventario inventaris جرد"
_NO_STOCK: Final = "payment tip zahlung trinkgeld paiement pago pagamento betaling discount rabatt total دفع"

KINDS: Final[dict[str, EventType | None]] = {
    folded(word): kind
    for words, kind in (
        (_SALE, EventType.ORDER_DEDUCTION),
        (_RETURN, EventType.CUSTOMER_RETURN),
        (_WASTE, EventType.WASTE_RECORDED),
        (_PURCHASE, EventType.PURCHASE_RECEIVED),
        (_COUNT, EventType.STOCKTAKE),
        (_NO_STOCK, None),
    )
    for word in words.split()
}
"""What a text in a column of kinds makes of its row; None: it moves no stock."""

_TOTALS: Final = (
    "total totals grand total sub total subtotal sum summe gesamt gesamtsumme zwischensumme "
    "endsumme totale totaal somme "
    "suma soma montant total مجموع المجموع الاجمالي اجمالي"
)
TOTALS: Final = frozenset(map(folded, _TOTALS.split()))
"""First words of rows that sum up the others."""

_PART: Final = re.compile(r"[^\W\d_]+|\d+")
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_ARTICLE: Final = "ال"


def words_of(name: str) -> list[str]:
    """The words of a column's name, folded: `InvoiceNo` and `invoice_no` are two; also all of them as one."""
    found = [folded(part) for part in _PART.findall(_CAMEL.sub(" ", name))]
    bare = [word.removeprefix(_ARTICLE) if len(word) > 4 else word for word in found]
    whole = "".join(found)
    return [*bare, *([whole] if len(found) > 1 else [])]


def fields_of(name: str) -> dict[str, int]:
    """Field -> how many words of a column's name say that it is that field."""
    found = words_of(name)
    return {
        field: count
        for field, words in WORDS.items()
        if (count := sum(word in words or (len(word) > 4 and word.rstrip("sn") in words) for word in found))
    }


def kind_of_text(text: str) -> tuple[bool, EventType | None]:
    """Whether a text names a kind of row, and which."""
    for word in reversed([folded(text.strip()), *words_of(text)]):
        if word in KINDS:
            return True, KINDS[word]
    return False, None


def begins_totals(text: str) -> bool:
    """Whether a cell begins a row of totals."""
    found = words_of(text)
    return bool(found) and any(word in TOTALS for word in found[:2])
